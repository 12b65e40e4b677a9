"""Answers, reports and methods for tests, made from as few words as the test needs."""

from dataclasses import dataclass, replace

import numpy as np

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.attention import ExampleAttention
from personaplug.evaluation.harness import evaluate
from personaplug.evaluation.report import Report, Setting
from personaplug.records import Example, Profile
from personaplug.tasks.task import Task
from tests.factories import START, make_items

TAGS = Task("tags", "", "classification", ("accuracy", "macro-f1"), labels=("a", "b", "c"))
RATINGS = Task("ratings", "", "rating", ("mae", "rmse"), labels=("1", "2", "3", "4", "5"))
TITLES = Task("titles", "", "generation", ("rouge-1", "rouge-l"))


def make_answers(predictions, targets, *, users=None):
    """Make answers of users, one user an answer if none are named."""
    users = users or [f"user {place}" for place in range(len(targets))]
    return [
        Answer(str(place), user, 3, "a question", prediction, target)
        for place, (prediction, target, user) in enumerate(zip(predictions, targets, users, strict=True))
    ]


def make_likely(*means, tokens=2, users=None):
    """Make answers whose right answers have these mean log-likelihoods."""
    answers = make_answers(["x"] * len(means), ["x"] * len(means), users=users)
    return [replace(answer, log_likelihood=mean, tokens=tokens) for answer, mean in zip(answers, means, strict=True)]


def make_examples(count=12, *, target="a", text="a question"):
    """Make queries of users who ask three times each, with one item of history more for each query."""
    return [
        Example(str(place), Profile(f"user {place // 3}", make_items(*"x" * (place + 1))), text, target, START)
        for place in range(count)
    ]


@dataclass(frozen=True)
class Parrot:
    """Gives the same answer to all, and right answers the same likelihood."""

    name: str = "plain"
    says: str = "a"
    nats: float = 1.0

    def respond(self, examples):
        return [self.says for _ in examples]

    def log_likelihood(self, examples):
        return np.full(len(examples), -self.nats)

    def answer_tokens(self, examples):
        return np.full(len(examples), 2)


@dataclass(frozen=True)
class AttentiveParrot(Parrot):
    """A parrot that looks at the newest item twice as hard as at the rest."""

    def attention(self, examples):
        return [self._look(len(example.profile.items)) for example in examples if len(example.profile.items) > 1]

    def _look(self, count):
        weights = np.array([1.0] * (count - 1) + [2.0])
        return ExampleAttention.of(weights / weights.sum(), np.arange(count)[::-1] * 1.0, weights)


def make_report(method="plain", *, says="a", nats=1.0, history="own", task=TAGS, examples=None) -> Report:
    """Measure a parrot; the plug has attention."""
    kind = AttentiveParrot if method.startswith("plug") else Parrot
    setting = Setting(history=history, command=f"personaplug evaluate --method {method}", machine="a machine")
    return evaluate(kind(method, says, nats), task, examples=examples or make_examples(), setting=setting)


def make_reports(**changes) -> dict[str, Report]:
    """Measure a plain method, a baseline, a plug and the plug with strangers' histories."""
    made = (
        make_report("plain", says="b", nats=1.5, **changes),
        make_report("tuned-prompt", says="b", nats=1.2, **changes),
        make_report("plug", says="a", nats=0.8, **changes),
        make_report("plug", says="c", nats=1.3, history="stranger", **changes),
    )
    return {report.label: report for report in made}
