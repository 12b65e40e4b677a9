"""What has a say in the answers of one batch of several users and runs."""

from collections.abc import Sequence
from dataclasses import replace

from personaplug.backbone.mixing import NextTokens, SeparateRows
from personaplug.embedder.copy_head import Copying
from personaplug.embedder.written import Written


def side_by_side(rows: Sequence[NextTokens | None]) -> NextTokens | None:
    """Put what has a say in each row side by side: rows of one run go through its copy head together.

    Args:
        rows: One a row; None where nothing has a say.
    """
    copying = [each for each in rows if isinstance(each, Copying)]
    if len(copying) == len(rows) and len({id(each.head) for each in copying}) == 1:
        return replace(copying[0], written=Written.pack([each.written for each in copying]))
    return SeparateRows(rows) if any(rows) else None
