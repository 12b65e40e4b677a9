"""What an append encodes, and that nobody else's history has a part in it."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
import torch

from personaplug.serving.engine.history_service import HistoryService, NewItem
from personaplug.serving.engine.limits import Limits
from personaplug.store.persona_store import PersonaStore
from personaplug.worker import Worker
from tests.store.fakes import LAYOUT, encode_jointly

TIME = datetime(2024, 5, 1, tzinfo=UTC)
ITEMS = [NewItem(f"read {day}", f"said {day}", str(day), TIME) for day in range(3)]


class CountingEncoder:
    """Encodes as real ones do, whose last bits depend on what is read together; counts the texts."""

    def __init__(self):
        self.texts = []

    def encode(self, texts):
        self.texts += texts
        return torch.from_numpy(encode_jointly(texts))


@pytest.fixture
def encoder():
    return CountingEncoder()


@pytest.fixture
def histories(tmp_path, encoder):
    path = tmp_path / "log.db"
    PersonaStore.open(path, layout=LAYOUT).close()
    stores = Worker(lambda: PersonaStore.open(path), name="store")
    encoders = Worker(lambda: nullcontext(encoder), name="encoder")
    stores.open(), encoders.open()
    yield HistoryService(stores, encoders, models=None, layout=LAYOUT, limits=Limits())
    stores.close()
    encoders.close()


def append(histories, user, items):
    return asyncio.run(histories.append(user, items)).new_items


def vectors(histories, user):
    return histories._stores.submit(lambda store: store.vectors(store.get(user)).tobytes()).result()


def test_a_text_that_anothers_history_holds_is_encoded_like_any_other(histories, encoder):
    append(histories, "shop\x1fada", ITEMS)
    first = encoder.texts.copy()
    append(histories, "rival\x1fada", ITEMS)
    assert encoder.texts == [*first, *first]


def test_anothers_history_changes_no_bit_of_what_is_stored(histories):
    append(histories, "rival\x1fada", ITEMS[1:])
    append(histories, "shop\x1fada", ITEMS)
    others = vectors(histories, "shop\x1fada")
    for user in ("rival\x1fada", "shop\x1fada"):
        histories._stores.submit(lambda store, user=user: store.forget(user)).result()
    append(histories, "shop\x1fada", ITEMS)
    assert vectors(histories, "shop\x1fada") == others


def test_what_is_told_again_is_not_encoded_again(histories, encoder):
    append(histories, "ada", ITEMS)
    encoder.texts.clear()
    assert append(histories, "ada", ITEMS) == 0
    assert encoder.texts == []
    assert append(histories, "ada", [*ITEMS, NewItem("read 9", "said 9", "9", TIME)]) == 1
    assert encoder.texts == ["read 9", "said 9 was the answer to read 9"]
