"""Few items are the latest of a history, and what they gain is told against a control of the same queries."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.cold_start import ITEMS as COUNTS
from benchmarks.cold_start import by_items, main, plug_nats, showing
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.plug.model import PersonaPlug
from personaplug.records import Profile
from personaplug.store.persona_store import PersonaStore
from tests.benchmarks.conftest import ITEMS, SPLITS


@pytest.fixture
def plug(world):
    with PersonaStore.open(world / "store.db") as store:
        yield PersonaPlug.from_pretrained(world / "copying", store=store)


def test_no_items_are_an_empty_history_and_many_are_all_of_it(world, plug):
    dev = list(split_examples(read_log(world / "log.jsonl", plug.task), plug.task, split="dev"))
    nobody, whole = plug_nats(plug, [replace(each, profile=Profile("nobody")) for each in dev]), plug_nats(plug, dev)
    rows = by_items(plug, dev, control=whole, seed=0)
    assert rows["0"].nats == pytest.approx(nobody.mean())
    assert rows["0"].against_control.value == pytest.approx((nobody - whole).mean())
    assert rows["64"].nats == pytest.approx(whole.mean())
    assert (rows["64"].against_control.low, rows["64"].against_control.high) == (0, 0)
    assert len({row.nats for row in rows.values()}) == 1 + sum(0 < count < ITEMS for count in COUNTS) + 1
    assert [row.with_so_many for row in rows.values()] == [len(dev) * (count <= ITEMS) for count in COUNTS]


def test_a_limit_below_the_most_items_is_lifted_and_one_above_stays(plug):
    for most, shown in ((30, 64), (100, 100)):
        task = replace(plug.task, history=replace(plug.task.history, max_items=most))
        assert showing(task, items=64).history.max_items == shown


def test_the_command_writes_a_row_a_number_of_items(world):
    out = world / "cold.json"
    words = [*(str(world / name) for name in ("copying", "adapted", "store.db", "log.jsonl")), "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert (found["queries"], list(found["items"])) == (SPLITS["dev"], [str(count) for count in COUNTS])
    differences = [row["against_control"]["value"] for row in found["items"].values()]
    assert np.isfinite(differences).all()
    assert differences[0] != 0
