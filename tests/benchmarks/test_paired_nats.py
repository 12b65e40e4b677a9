"""Runs are compared on the same queries, and a difference is that of their means."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.paired_nats import main, nats
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.plug.model import PersonaPlug
from personaplug.store.persona_store import PersonaStore
from tests.benchmarks.conftest import SPLITS

RUNS = "copying", "adapted"


def test_the_nats_are_those_of_the_right_answers_in_whatever_batches(world):
    with PersonaStore.open(world / "store.db") as store:
        plug = PersonaPlug.from_pretrained(world / "copying", store=store)
        asked = list(split_examples(read_log(world / "log.jsonl", plug.task), plug.task, split="train"))
        one_by_one = [-plug.score([each]).log_likelihood.item() for each in asked]
        assert nats(plug, asked) == pytest.approx(np.array(one_by_one), rel=1e-4)


def test_the_command_writes_each_runs_nats_and_every_difference(world):
    out = world / "nats.json"
    runs = [str(world / name) for name in RUNS]
    words = [str(world / "store.db"), str(world / "log.jsonl"), *runs, "--split", "test", "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert (found["queries"], list(found["nats"])) == (SPLITS["test"], runs)
    ((name, difference),) = found["differences"].items()
    assert name == " minus ".join(runs)
    assert difference["value"] == pytest.approx(found["nats"][runs[0]] - found["nats"][runs[1]])
    assert difference["low"] <= difference["value"] <= difference["high"]
    assert difference["value"] != 0
