"""An encoder and a log for the store's tests; the processes that the tests start import them, too."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from personaplug.data.log import Interaction
from personaplug.records import HistoryItem
from personaplug.store.base import StoreLayout
from personaplug.store.persona_store import PersonaStore
from tests.factories import make_row

LAYOUT = StoreLayout("fake@1", ("{input}", "{output} was the answer to {input}"), dim=8)


def encode(texts: Sequence[str]) -> np.ndarray:
    """Give each text a unit vector of its own, whatever texts it stands with."""
    return np.array([_vector(text) for text in texts], np.float32).reshape(len(texts), LAYOUT.dim)


def encode_jointly(texts: Sequence[str]) -> np.ndarray:
    """Encode as real encoders do, whose last bits depend on which texts they read together."""
    return (encode(texts) + 0.01 * _vector("".join(texts))).astype(np.float32)


def stack(items: Sequence[HistoryItem], layout: StoreLayout = LAYOUT) -> np.ndarray:
    """Encode items as the store keeps them."""
    vectors = [[_vector(text) if text else np.zeros(layout.dim) for text in layout.texts(item)] for item in items]
    return np.array(vectors, np.float32).reshape(len(items), len(layout.views), layout.dim)


def rows_of(store: PersonaStore) -> list[tuple[object, ...]]:
    """Read all that a store holds, by user and time."""
    columns = "user_id, time, id, content, hashes, vectors, place, input, output"
    return store._tables.rows(f'SELECT {columns} FROM items JOIN users ON "user" = key ORDER BY user_id, time, id')


def make_log(users: int, items: int) -> list[Interaction]:
    """Make a log of many users in the order of time, where users share some texts."""
    return [
        make_row(f"user-{user}", day, text=f"text {day} of {user if day % 3 else 'all'}", output=f"label {day % 2}")
        for day in range(items)
        for user in range(users)
    ]


def _vector(text: str) -> np.ndarray:
    seed = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    vector = np.random.default_rng(seed).standard_normal(LAYOUT.dim)
    return vector / np.linalg.norm(vector)
