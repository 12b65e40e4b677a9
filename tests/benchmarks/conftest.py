"""A log of users with a history and a query each, its store, and runs over it, for what is measured of trained runs."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import OURS, EmbedderConfig
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Splitting
from tests.factories import START, make_item
from tests.world import TASK, Row, as_if_trained, encoder_in, make_run, save_models

SPLITS = {"train": 10, "dev": 2, "test": 3}
ITEMS = 9


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Users with nine items and a query each; each begins what they write with two letters of their own."""
    folder = tmp_path_factory.mktemp("measured")
    models = save_models(folder / "models")
    encoder = encoder_in(models)
    users = [f"{split}{number}" for split, count in SPLITS.items() for number in range(count)]
    rows = [
        (user, "history" if day < ITEMS else user.rstrip("0123456789"), _item(at, day))
        for at, user in enumerate(users)
        for day in range(ITEMS + 1)
    ]
    log = folder / "log.jsonl"
    log.write_text("".join(json.dumps(_row(*row)) + "\n" for row in rows))
    task = replace(TASK, split=Splitting(by="column"))
    store = folder / "store.db"
    with PersonaStore.open(store, layout=StoreLayout(encoder.fingerprint, task.views, encoder.dim)) as opened:
        indexed = [Row(user, item) for user, _, item in rows]
        index(indexed, opened, encode=lambda texts: encoder.encode(texts).numpy())
        ours, paper = (
            make_run(models, "decoder-only", embedder=embedder) for embedder in (OURS, EmbedderConfig(personas=1))
        )
        adapted = replace(ours, adapter=SharedAdapterConfig(rank=2))
        copying = replace(adapted, copying=CopyingConfig(order=2))
        for name, run in {"run": ours, "paper": paper, "adapted": adapted, "copying": copying}.items():
            as_if_trained(build_plug(run, task, store=opened, query_source=QuerySource.STORE)).save_pretrained(
                folder / name
            )
    return folder


def _item(user, day):
    letters = "abcdefghijklmno"
    return make_item(day, f"about {letters[day]} and {letters[user]}", f"{letters[user]}{'xyz'[day % 3]}so so {day}")


def _row(user, split, item):
    time = (START + timedelta(days=int(item.id.lstrip("abcdefghijklmnopqrstuvwxyz-")))).isoformat()
    return {"user_id": user, "id": item.id, "time": time, "split": split, "input": item.input, "output": item.output}
