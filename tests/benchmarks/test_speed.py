import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.speed import adapters, answering, real_answers, real_model, real_model_float32
from benchmarks.speed.adapters import language_model
from benchmarks.speed.answering import Answering
from benchmarks.speed.effort import Effort
from benchmarks.speed.language_models import random_t5
from benchmarks.speed.peft_steps import tokens_of
from benchmarks.speed.row import Row, Target, how_made, write_rows
from benchmarks.speed.turns import Turns, in_turn
from benchmarks.speed.world import open_world
from personaplug.plug.run import RunConfig, TrainingConfig

ROOT = Path(__file__).parents[2]
FAST = Row("fast", "toys", 6.0, "x", Target("at least", 5.0), {"pairs": 3})
SLOW = Row("slow", "toys", 4.0, "x", Target("at least", 5.0))


def test_both_sides_have_their_turns_each_first_in_every_other_pair_and_one_before_that_is_not_counted():
    order = []
    turns = in_turn(lambda: order.append("ours"), lambda: order.append("theirs"), pairs=3)
    assert order == ["ours", "theirs"] * 2 + ["theirs", "ours"] + ["ours", "theirs"]
    assert len(turns.ours) == len(turns.theirs) == len(turns.ratios) == 3


def test_ours_stays_ours_where_the_figure_is_how_many_times_as_long_it_took():
    turns = Turns(ours=(2.0, 6.0, 4.0), theirs=(1.0, 2.0, 4.0), cpu=(0.5, 0.2, 1.0))
    usual, slower = turns.details(), turns.details(is_slowdown=True)
    assert (turns.slowdowns, turns.ratios) == ([2.0, 3.0, 1.0], [0.5, pytest.approx(1 / 3), 1.0])
    assert {"our_seconds": 4.0, "their_seconds": 2.0, "pairs": 3}.items() <= usual.items() & slower.items()
    names = ("lowest_ratio", "highest_ratio", "cpu_ratio")
    assert [slower[name] for name in names] == [1.0, 3.0, 2.0]
    assert [usual[name] for name in names] == pytest.approx([1 / 3, 1.0, 0.5])


def test_a_personas_seconds_are_ours_beside_the_bare_model_as_beside_retrieved_items(monkeypatch):
    took = {"persona": 3.0, "bare": 2.0, "retrieved": 9.0}
    persona, bare, retrieved = (SimpleNamespace(name=name, generation=None) for name in took)
    for name, made in {"PlugMethod": persona, "_plain": bare, "with_items": retrieved}.items():
        monkeypatch.setattr(answering, name, lambda *_, made=made, **__: made)
    monkeypatch.setattr(answering, "by_words", lambda _: None)
    monkeypatch.setattr(answering, "_asking", lambda method, *_, **__: took[method.name])
    monkeypatch.setattr(
        answering, "in_turn", lambda ours, theirs, **_: Turns(ours=(ours,), theirs=(theirs,), cpu=(theirs / ours,))
    )
    model = SimpleNamespace(generation_config=SimpleNamespace(), parameters=list)
    plug = SimpleNamespace(backbone=SimpleNamespace(model=model))
    world = SimpleNamespace(log=SimpleNamespace(name="toys", task=None))
    rows = list(answering.answering_rows(world, Answering("a model", plug, [], 8, 1)))
    assert [row.value for row in rows] == [1.5, 3.0]
    assert [(row.details["our_seconds"], row.details["their_seconds"]) for row in rows] == [(3.0, 2.0), (3.0, 9.0)]
    for row in rows:
        assert row.details["lowest_ratio"] == row.details["highest_ratio"] == row.value
        assert row.details["cpu_ratio"] == pytest.approx(row.value)


def test_a_batch_of_adapters_is_answered_in_turn_with_the_bare_model():
    (row,) = adapters.measure(Effort(is_quick=True, pairs=1))
    assert row.name == "adapters of 8 users against none"
    assert row.target == Target("at most", 1.3)
    assert row.value == pytest.approx(row.details["our_seconds"] / row.details["their_seconds"])


def test_the_small_language_model_is_of_30_million_weights_and_reads_words():
    backbone = random_t5()
    assert sum(weight.numel() for weight in backbone.model.parameters()) == pytest.approx(30e6, rel=0.05)
    assert backbone.embed(["a town"]).embeds.shape == (1, 4, backbone.dim)


@pytest.mark.parametrize(("part", "prefix"), [(real_model, "real model"), (real_model_float32, "real model, float32")])
def test_a_step_of_the_real_model_is_timed_beside_two_of_pefts_on_new_inputs_and_on_kept_ones(part, prefix):
    rows = {row.name: row for row in part.measure(Effort(is_quick=True, pairs=1))}
    has_aim = {
        "a training step against PEFT's prompt tuning": True,
        "the default's training step against PEFT's prompt tuning": True,
        "the default's training step against PEFT's LoRA": False,
    }
    assert {name: row.target is not None for name, row in rows.items()} == {
        f"{prefix}: {name}, {visit}": is_aimed
        for name, is_aimed in has_aim.items()
        for visit in ("first visit", "input kept")
    }
    assert all(row.value > 0 for row in rows.values())
    assert part is real_model or all("our steps in float32" in row.measured_on for row in rows.values())
    found = {name: row.details["inputs_found"] for name, row in rows.items() if name.endswith("input kept")}
    assert found == dict.fromkeys(found, 2 * 2)  # each of both inputs, in the turn before the first and in that


def test_an_answer_of_the_real_model_is_timed_beside_the_bare_one_and_beside_items():
    rows = list(real_answers.measure(Effort(is_quick=True, pairs=1)))
    assert [row.name for row in rows] == [
        "real model: persona against none: random Llama, batch 1",
        "real model: persona against 4 items of 64 tokens: random Llama, batch 1",
    ]
    assert all(row.value > 0 and row.target for row in rows)


def test_the_opponent_reads_and_writes_no_token_more_than_our_side():
    with open_world("train", queries=4, is_quick=True) as world:
        backbone = language_model(is_quick=True)[1]
        run = RunConfig(task=world.log.task.name, training=TrainingConfig(**real_model.LIMITS))
        plug = real_model._plug(world, run, backbone)
        examples = [replace(example, input=example.input * 9) for example in world.examples[:4]]
        batch = plug.batcher(examples)
        ours = backbone.count_input_tokens(batch.prompts, max_tokens=plug.prompts.max_tokens)
        answers = backbone.count_answer_tokens(batch.targets, max_tokens=real_model.ANSWER_TOKENS)
        theirs = [tokens_of(plug, example)["input_ids"] for example in examples]
    assert max(ours) == real_model.INPUT_TOKENS
    assert [len(ids) for ids in theirs] == [own + answer for own, answer in zip(ours, answers, strict=True)]


@pytest.mark.parametrize(("bound", "holding"), [("at least", {5.0, 6.0}), ("at most", {4.0, 5.0})])
def test_a_target_is_reached_at_its_bound_and_on_the_right_side(bound, holding):
    assert {value for value in (4.0, 5.0, 6.0) if Target(bound, 5.0).holds(value)} == holding


def test_measuring_a_part_again_leaves_the_others_and_says_how_each_was_made(tmp_path):
    path = tmp_path / "results" / "speed.json"
    write_rows([FAST, SLOW], path, made=how_made(threads=2, is_quick=False))
    write_rows([SLOW], path, made=how_made(threads=1, is_quick=True))
    found = json.loads(path.read_text())
    assert list(found) == ["fast", "slow"]
    assert [row["made"]["threads"] for row in found.values()] == [2, 1]
    assert [row["made"]["is_quick"] for row in found.values()] == [False, True]


HOLD_AND_LET_GO = """
from benchmarks.speed import memory
from personaplug.plug.run import RunConfig, TrainingConfig
bytearray(100_000_000)
memory.forget_peak()
before = memory.resident()
bytearray(40_000_000)
print(memory.peak() - before)
"""


def test_the_peak_is_of_what_was_held_since_it_was_forgotten():
    done = subprocess.run([sys.executable, "-c", HOLD_AND_LET_GO], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 35 < float(done.stdout) < 90
