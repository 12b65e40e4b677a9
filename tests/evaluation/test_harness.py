from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.harness import AttentiveMethod, LikelihoodMethod, evaluate
from personaplug.evaluation.report import Setting
from tests.evaluation.factories import RATINGS, TAGS, AttentiveParrot, Parrot, make_examples


@dataclass
class Recorder:
    """Answers with the example's id and remembers how it was asked."""

    name: str = "recorder"
    asked: list[int] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)

    def respond(self, examples):
        self.asked.append(len(examples))
        return [example.id for example in examples]

    def log_likelihood(self, examples):
        self.scored += [example.id for example in examples]
        return np.array([-float(example.id) for example in examples])

    def answer_tokens(self, examples):
        return np.array([1 + int(example.id) % 3 for example in examples])


@dataclass
class Mute:
    """Answers nothing and offers nothing else."""

    name: str = "mute"

    def respond(self, examples):
        return [""] * len(examples)


def test_every_answer_stands_with_its_query_whatever_the_batch_size():
    examples = make_examples(11)
    for batch_size in (1, 4, 11, 100):
        answers = evaluate(Recorder(), TAGS, examples=examples, batch_size=batch_size).answers
        assert [answer.prediction for answer in answers] == [answer.id for answer in answers]
        assert [answer.log_likelihood for answer in answers] == [-float(answer.id) for answer in answers]
        assert [answer.tokens for answer in answers] == [1 + int(answer.id) % 3 for answer in answers]
        assert [answer.history_items for answer in answers] == list(range(1, 12))
        assert [answer.user_id for answer in answers] == [example.profile.user_id for example in examples]


def test_a_method_is_asked_in_batches_and_progress_is_told_after_each():
    method, told = Recorder(), []
    evaluate(method, TAGS, examples=make_examples(10), batch_size=4, progress=told.append)
    assert method.asked == [4, 4, 2]
    assert told == [4, 8, 10]


def test_queries_without_target_are_answered_and_nothing_more():
    examples = [replace(e, target=None) if place % 2 else e for place, e in enumerate(make_examples(6))]
    method = Recorder()
    report = evaluate(method, TAGS, examples=examples, batch_size=4)
    assert method.scored == ["0", "2", "4"]
    assert [answer.log_likelihood for answer in report.answers] == [0, None, -2, None, -4, None]
    assert [answer.prediction for answer in report.answers] == list("012345")
    assert {score.answers for score in report.scores} == {3}


def test_a_split_without_any_target_has_answers_and_no_scores():
    report = evaluate(Parrot(), TAGS, examples=make_examples(target=None))
    assert (len(report.answers), report.scores, report.buckets) == (12, (), ())


def test_a_method_without_likelihood_or_attention_is_scored_all_the_same():
    report = evaluate(Mute(), TAGS, examples=make_examples())
    assert [score.metric for score in report.scores] == ["accuracy", "macro-f1"]
    assert report.attention is None
    assert not isinstance(Mute(), LikelihoodMethod)
    assert isinstance(Parrot(), LikelihoodMethod)
    assert isinstance(AttentiveParrot(), AttentiveMethod)
    assert not isinstance(Parrot(), AttentiveMethod)


def test_attention_is_summed_up_over_the_histories_that_leave_a_choice():
    report = evaluate(AttentiveParrot(), TAGS, examples=make_examples(7))
    assert report.attention is not None
    assert report.attention.examples == 6  # the first history has one item
    assert report.attention.age_percentile < 0.5


def test_answers_are_grouped_by_who_asked_and_not_by_the_strangers():
    examples = make_examples(4)
    strangers = [replace(e, profile=replace(e.profile, user_id=f"stranger {e.id}")) for e in examples]
    asked_by = [example.profile.user_id for example in examples]
    report = evaluate(Parrot(), TAGS, examples=strangers, query_users=asked_by)
    assert [answer.user_id for answer in report.answers] == asked_by
    assert report.scores[0].users == 2


def test_time_and_memory_are_measured():
    report = evaluate(Parrot(), TAGS, examples=make_examples())
    assert 0 < report.seconds < 60
    assert 10 < report.peak_memory_mb < 1_000_000


def test_the_report_says_how_it_was_made():
    setting = Setting(split="dev", seed=7, history="stranger", command="x", machine="y")
    report = evaluate(Parrot("plug"), TAGS, examples=make_examples(), setting=setting)
    assert (report.task, report.method, report.labels, report.setting) == ("tags", "plug", TAGS.labels, setting)
    assert report.label == "plug, stranger's history"


def test_an_empty_target_without_tokens_has_no_likelihood():
    class Counting(Parrot):
        def answer_tokens(self, examples):
            return np.array([0 if not example.target else 2 for example in examples])

    examples = [replace(make_examples(2)[0], target=""), make_examples(2)[1]]
    answers = evaluate(Counting(), TAGS, examples=examples).answers
    assert [answer.log_likelihood for answer in answers] == [None, -1]


def test_answers_of_emoji_and_of_100_000_characters_are_kept_whole():
    long = "🙂 <b>" * 25_000
    report = evaluate(Parrot(says=long), TAGS, examples=make_examples(3, text=long))
    assert {answer.prediction for answer in report.answers} == {long}
    assert {answer.input for answer in report.answers} == {long}


def test_no_queries_are_an_error():
    with pytest.raises(PersonaPlugError, match="no query"):
        evaluate(Parrot(), TAGS, examples=[])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (SimpleNamespace(name="tags", metrics=("macro-f1",), labels=()), "macro-f1 needs the task's labels"),
        (replace(RATINGS, labels=("low", "high")), "need the scale of ratings"),
        (RATINGS, "is no number"),
    ],
)
def test_what_a_metric_lacks_shows_before_the_first_question(task, message):
    method = Recorder()
    with pytest.raises(PersonaPlugError, match=message) as caught:
        evaluate(method, task, examples=make_examples())
    assert caught.value.hint
    assert method.asked == []


def test_two_queries_of_one_user_with_one_id_are_an_error():
    with pytest.raises(PersonaPlugError, match="two queries of one id"):
        evaluate(Parrot(), TAGS, examples=make_examples(1) * 2)


def test_equal_ids_of_two_users_are_none():
    first, *_, last = make_examples(4)
    assert len(evaluate(Parrot(), TAGS, examples=[first, replace(last, id=first.id)]).answers) == 2


def test_a_method_that_loses_an_answer_is_an_error():
    class Lazy(Mute):
        def respond(self, examples):
            return super().respond(examples)[1:]

    with pytest.raises(PersonaPlugError, match="'mute' gave 11 answers to 12 queries"):
        evaluate(Lazy(), TAGS, examples=make_examples())


@pytest.mark.parametrize("nats", [float("nan"), float("inf")])
def test_a_likelihood_that_is_no_number_is_an_error_that_names_the_query(nats):
    with pytest.raises(PersonaPlugError, match="query '0'"):
        evaluate(Parrot(nats=nats), TAGS, examples=make_examples())
