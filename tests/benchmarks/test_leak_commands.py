"""The two commands of the leak, from a run and a log to their tables, on tiny models."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from benchmarks.leak import price, table, words
from benchmarks.leak.__main__ import main
from personaplug.embedder.user_embedder import OURS, EmbedderConfig
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


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Users with nine items and a query each; each begins what they write with two letters of their own."""
    folder = tmp_path_factory.mktemp("leak")
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
        for name, embedder in (("run", OURS), ("paper", EmbedderConfig(personas=1))):
            run = make_run(models, "decoder-only", embedder=embedder)
            as_if_trained(build_plug(run, task, store=opened, query_source=QuerySource.STORE)).save_pretrained(
                folder / name
            )
    return folder


def test_every_form_is_attacked_and_openings_are_read_out_of_a_persona(world, monkeypatch):
    monkeypatch.setattr(words, "SHORTEST", 1)  # a token of the tiny models is a byte
    _invoke(price.main, world, "price.json", "--queries", "2")
    _invoke(main, world, "leak.json", "--paper", str(world / "paper"))
    found = json.loads((world / "leak.json").read_text())
    assert found["users"] == {"reported": SPLITS["dev"] + SPLITS["test"], "known": SPLITS["train"]}
    lines: dict[tuple[str, str, str], dict] = {}
    for line in found["lines"]:
        lines.setdefault((line["form"], line["switch"], line["attack"]), {}).update(line["figures"])
    assert {form for form, *_ in lines} == {
        "nothing", "persona", "by the query", "of all items", "paper's persona", "stored vectors",
    }  # fmt: skip
    assert lines["of all items", "none", "pursuit"]["recall"]["value"] > 0.5
    assert lines["stored vectors", "none", "likeness of the item alone"]["stranger"]["value"] > 0.9
    result = CliRunner().invoke(table.main, [str(world / "leak.json"), "--price", str(world / "price.json")])
    assert result.exit_code == 0, result.output
    written = (world / "leak.md").read_text()
    assert all(f"| {form} | " in written for form, *_ in lines)
    assert "| none | 0.000 [0.000, 0.000] |" in written


def _invoke(command, world, out, *options):
    words = [str(world / "run"), str(world / "store.db"), str(world / "log.jsonl"), "--out", str(world / out), *options]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def _item(user, day):
    letters = "abcdefghijklmno"
    return make_item(day, f"about {letters[day]} and {letters[user]}", f"{letters[user]}{'xyz'[day % 3]}so so {day}")


def _row(user, split, item):
    time = (START + timedelta(days=int(item.id.lstrip("abcdefghijklmnopqrstuvwxyz-")))).isoformat()
    return {"user_id": user, "id": item.id, "time": time, "split": split, "input": item.input, "output": item.output}
