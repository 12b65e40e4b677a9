"""What a store keeps of a user, as bytes to look for in raw files."""

from dataclasses import replace

import numpy as np

from personaplug.store.bank import item_keys
from personaplug.store.base import text_hash
from tests.factories import make_item
from tests.store.fakes import LAYOUT, stack


def all_bytes(folder):
    """Read all files below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def traces(user, items, layout=LAYOUT):
    """List all that a store or snapshot keeps of a user, as bytes, long texts and vectors in pieces."""
    texts = [user, *(text for item in items for text in (item.id, item.input, item.output))]
    whole = [text.encode() for text in texts] + [text_hash(user), item_keys(item.id for item in items).tobytes()]
    whole += [text_hash(text) for item in items for text in layout.texts(item)]
    whole += [vector.tobytes() for vector in stack(items, layout).astype(np.float16).reshape(-1, layout.dim)]
    return [each[start : start + 64] for each in whole for start in range(0, len(each), 64) if len(each) - start > 7]


def history(user, count=8):
    """Make a user's items, of texts that nobody else has."""
    return [
        replace(
            make_item(day, f"what {user} read on {day}, " * (1 + 30 * day), f"what {user} said"), id=f"{user}-{day}"
        )
        for day in range(count)
    ]
