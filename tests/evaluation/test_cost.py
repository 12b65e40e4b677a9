"""What answers cost, beside how good they are."""

from dataclasses import dataclass

import numpy as np
import pytest

from personaplug.evaluation import cost
from personaplug.evaluation.harness import evaluate
from personaplug.evaluation.report import Report
from tests.evaluation.factories import TAGS, Parrot, make_examples


@dataclass(frozen=True)
class Counting(Parrot):
    """Reads as many tokens as the history has items, and keeps ten bytes an item."""

    def prompt_tokens(self, examples):
        return np.array([len(example.profile.items) for example in examples])

    def user_bytes(self, examples):
        return 10 * self.prompt_tokens(examples)


def test_tokens_are_a_mean_over_queries_and_bytes_over_users_as_of_their_latest_query():
    report = evaluate(
        Counting(), TAGS, examples=make_examples(6), batch_size=4
    )  # users of 1, 2, 3 and of 4, 5, 6 items
    assert report.cost.prompt_tokens == pytest.approx(3.5)
    assert report.cost.user_bytes == pytest.approx((30 + 60) / 2)
    assert 0 < report.cost.answer_seconds < report.seconds


def test_a_method_that_does_not_count_has_only_seconds():
    cost = evaluate(Parrot(), TAGS, examples=make_examples()).cost
    assert (cost.prompt_tokens, cost.user_bytes, cost.gpu_memory_mb) == (None, None, None)


def test_only_answers_are_timed(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(cost.time, "perf_counter", lambda: clock[0])

    class Slow(Parrot):
        """Takes 100 s to prepare a batch, 10 to answer it and 1 to tell how likely it held each right answer."""

        def prepare(self, _):
            clock[0] += 100

        def respond(self, examples):
            clock[0] += 10
            return super().respond(examples)

        def log_likelihood(self, examples):
            clock[0] += len(examples)
            return np.zeros(len(examples))

        def answer_tokens(self, examples):
            return np.ones(len(examples), int)

    report = evaluate(Slow(), TAGS, examples=make_examples(6), batch_size=4)
    assert report.cost.answer_seconds == 2 * 10
    assert report.seconds == 2 * 110 + 6


def test_a_report_of_before_costs_were_measured_is_read(tmp_path):
    evaluate(Counting(), TAGS, examples=make_examples()).write(tmp_path / "new.json")
    text = (tmp_path / "new.json").read_text()
    assert Report.read(tmp_path / "new.json").cost.prompt_tokens is not None
    start = text.index(' "cost"')
    (tmp_path / "old.json").write_text(text[:start] + text[text.index(' "schema"') :])
    assert Report.read(tmp_path / "old.json").cost is None
