"""What a store says of itself, in whatever database: what its vectors are made of, its name, and how far it is."""

import json
import secrets

from personaplug.config import from_mapping
from personaplug.errors import ConfigError
from personaplug.store.base import StoreLayout
from personaplug.store.tables import Tables


def first_meta(layout: StoreLayout) -> list[tuple[str, str | int]]:
    """Write what an empty store says."""
    return [
        ("fingerprint", layout.fingerprint),
        ("views", json.dumps(layout.views)),
        ("dim", layout.dim),
        ("identity", secrets.token_hex(16)),
        ("version", 0),
        ("placed", 0),  # the place of the item that was appended last
        ("unscrubbed", 0),  # the version of a forget whose remains are not wiped out yet
    ]


def stored_layout(tables: Tables) -> StoreLayout:
    """Read what a store's vectors are made of.

    Raises:
        StoreError: It does not say so.
    """
    values: dict[str, object] = {"fingerprint": tables.meta(str, "fingerprint"), "dim": tables.meta(int, "dim")}
    try:
        views = json.loads(tables.meta(str, "views"))
        return from_mapping(StoreLayout, values | {"views": views}, where=str(tables.path))
    except (ValueError, RecursionError, ConfigError) as error:
        raise tables.damage() from error
