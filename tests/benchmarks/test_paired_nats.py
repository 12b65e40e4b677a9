"""Runs are compared on the same queries, and a difference is that of their means."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.paired_nats import main, nats
from personaplug.backbone.base import GenerationConfig
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.data.stranger import with_strangers
from personaplug.methods.persona_plug import PlugMethod
from personaplug.plug.model import PersonaPlug
from personaplug.store.persona_store import PersonaStore
from tests.benchmarks.conftest import SPLITS

RUNS = "copying", "adapted"


def test_the_nats_are_those_of_the_right_answers_in_whatever_batches(world):
    with PersonaStore.open(world / "store.db") as store:
        plug = PersonaPlug.from_pretrained(world / "copying", store=store)
        asked = list(split_examples(read_log(world / "log.jsonl", plug.task), plug.task, split="train"))
        one_by_one = [-plug.score([each]).log_likelihood.item() for each in asked]
        method = PlugMethod("plug", plug, GenerationConfig())
        assert nats(method, asked) == pytest.approx(np.array(one_by_one), rel=1e-4)


def measured(world, *names):
    out = world / "nats.json"
    words = [str(world / "store.db"), str(world / "log.jsonl"), *names, "--split", "test", "--out", str(out)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text())


def test_the_command_writes_each_methods_nats_and_every_difference(world):
    runs = [str(world / name) for name in RUNS]
    found = measured(world, *runs, "plain")
    assert (found["queries"], list(found["nats"])) == (SPLITS["test"], [*runs, "plain"])
    assert list(found["differences"]) == [f"{runs[0]} minus {runs[1]}", *(f"{run} minus plain" for run in runs)]
    for name, difference in found["differences"].items():
        one, other = name.split(" minus ")
        assert difference["value"] == pytest.approx(found["nats"][one] - found["nats"][other])
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert difference["value"] != 0
    assert "own_minus_strangers" not in found


@pytest.mark.parametrize(
    ("names", "words"), [(["plain"], "name one folder at least"), (["RUN", "densely"], "there is no method 'densely'")]
)
def test_a_name_that_is_no_method_is_refused_before_anything_is_measured(world, names, words):
    words_of = [str(world / "store.db"), str(world / "log.jsonl"), "--out", str(world / "refused.json")]
    named = [str(world / RUNS[0]) if name == "RUN" else name for name in names]
    result = CliRunner().invoke(main, [*words_of, *named])
    assert result.exit_code != 0
    assert words in f"{result.output} {result.exception}"
    assert not (world / "refused.json").exists()


def test_strangers_are_met_by_what_reads_a_history(world):
    run = str(world / RUNS[0])
    found = measured(world, run, "plain", "dense", "--strangers", "--k", "1", "--seed", "3")
    assert list(found["own_minus_strangers"]) == [run, "dense"]
    with PersonaStore.open(world / "store.db") as store:
        plug = PersonaPlug.from_pretrained(run, store=store)
        asked = split_examples(read_log(world / "log.jsonl", plug.task), plug.task, split="test")
        own, others = (
            nats(PlugMethod("plug", plug, GenerationConfig()), each).mean()
            for each in (asked, with_strangers(asked, seed=3))
        )
    assert found["own_minus_strangers"][run]["value"] == pytest.approx(own - others) != 0
    again = measured(world, run, "dense", "--k", "2")
    assert again["nats"]["dense"] != pytest.approx(found["nats"]["dense"])
