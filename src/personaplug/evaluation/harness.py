"""Measuring anything that answers."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.answers import Answer
from personaplug.evaluation.attention import AttentionSummary, ExampleAttention
from personaplug.evaluation.cost import CostMeter
from personaplug.evaluation.machine import peak_memory_mb
from personaplug.evaluation.metrics import METRICS, MetricName
from personaplug.evaluation.report import Report, Setting
from personaplug.evaluation.scores import buckets_of, scores_of
from personaplug.method_kinds import kind_in_label
from personaplug.records import Example


@runtime_checkable
class Method(Protocol):
    """Anything that answers."""

    @property
    def name(self) -> str:
        """The name in tables."""
        ...

    def respond(self, examples: Sequence[Example]) -> list[str]:
        """Answer each example, in order."""
        ...


@runtime_checkable
class LikelihoodMethod(Method, Protocol):
    """A method that also tells how likely it held the right answers; every example has a target."""

    def log_likelihood(self, examples: Sequence[Example]) -> Float[np.ndarray, " examples"]:
        """Give the mean log-probability of a target's token, in nats, of each example."""
        ...

    def answer_tokens(self, examples: Sequence[Example]) -> Int[np.ndarray, " examples"]:
        """Count the tokens that the mean is of."""
        ...


@runtime_checkable
class PreparingMethod(Method, Protocol):
    """A method that makes something of users' histories before they ask, as an index is made: that is not timed."""

    def prepare(self, examples: Sequence[Example]) -> None:
        """Make what is missing for the users of these examples; what they ask is not looked at."""
        ...


@runtime_checkable
class AttentiveMethod(Method, Protocol):
    """A method that also tells where it looks."""

    def attention(self, examples: Sequence[Example]) -> list[ExampleAttention]:
        """Measure the attention of the examples whose history has two items or more."""
        ...


@runtime_checkable
class ScoredTask(Protocol):
    """What scoring needs of a task."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def metrics(self) -> Sequence[MetricName]:
        """Its scores, the main one first."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """All possible answers of a classification or rating."""
        ...


def evaluate(
    method: Method,
    task: ScoredTask,
    *,
    examples: Sequence[Example],
    setting: Setting | None = None,
    query_users: Sequence[str] | None = None,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Ask a method, score its answers.

    Args:
        method: Anything that answers; likelihood, attention and costs are measured where it offers them, and
            what it prepares is prepared first.
        task: Names the metrics and the labels.
        examples: The queries; those without a target are answered and not scored.
        setting: What the report says of how it was made, and the seed of its intervals.
        query_users: Who asked each query, where the profiles are strangers'; the profiles' own users otherwise.
        batch_size: Examples asked at once.
        progress: Called after each batch with the number of examples done so far.

    Raises:
        PersonaPlugError: There are no examples, a metric lacks labels or targets that it can read, or the method's
            results do not fit the examples.
    """
    setting = setting or Setting()
    users = query_users or [example.profile.user_id for example in examples]
    _check_queries(examples, users)
    _check_metrics(task, examples)
    answers: dict[int, Answer] = {}
    attention: list[ExampleAttention] = []
    meter = CostMeter()
    start = time.perf_counter()
    for indices in batches_by_length(examples, batch_size):
        batch = [examples[at] for at in indices]
        if isinstance(method, PreparingMethod):
            method.prepare(batch)
        with meter.timing():
            predictions = method.respond(batch)
        answers |= zip(
            indices,
            _answers(method, batch, predictions=predictions, users=[users[at] for at in indices]),
            strict=True,
        )
        meter.count(method, batch)
        attention += method.attention(batch) if isinstance(method, AttentiveMethod) else []
        if progress:
            progress(len(answers))
    in_order = [answer for _, answer in sorted(answers.items())]
    return Report(
        task=task.name,
        method=method.name,
        kind=kind_in_label(method.name),
        labels=tuple(task.labels),
        setting=setting,
        seconds=time.perf_counter() - start,
        peak_memory_mb=peak_memory_mb(),
        scores=scores_of(in_order, task.metrics, labels=task.labels, seed=setting.seed),
        buckets=buckets_of(in_order, task.metrics, labels=task.labels, seed=setting.seed),
        answers=tuple(in_order),
        attention=AttentionSummary.of(attention) if attention else None,
        cost=meter.cost,
    )


def batches_by_length(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Put the indices of inputs of similar length together, so that little padding is read.

    The longest come first: what does not fit into memory fails at once.
    """
    indices = sorted(range(len(examples)), key=lambda at: -len(examples[at].input))
    return [indices[first : first + batch_size] for first in range(0, len(indices), batch_size)]


def _check_queries(examples: Sequence[Example], users: Sequence[str]) -> None:
    if not examples:
        hint = "`personaplug data audit` shows the splits of the log"
        raise PersonaPlugError("there is no query to evaluate", hint=hint)
    if len({(user, example.id) for user, example in zip(users, examples, strict=True)}) < len(examples):
        raise PersonaPlugError("a user has two queries of one id", hint="give each row of the log an id of its own")


def _check_metrics(task: ScoredTask, examples: Sequence[Example]) -> None:
    """Score empty answers, so that what a metric lacks shows before the work, not after it."""
    empty = [
        Answer(example.id, example.profile.user_id, 0, input="", prediction="", target=example.target)
        for example in examples
        if example.target is not None
    ]
    for name in task.metrics if empty else ():
        METRICS[name].pieces(empty, task.labels)


def _answers(
    method: Method, batch: Sequence[Example], *, predictions: Sequence[str], users: Sequence[str]
) -> list[Answer]:
    if len(predictions) != len(batch):
        raise PersonaPlugError(f"method {method.name!r} gave {len(predictions)} answers to {len(batch)} queries")
    likelihoods = _likelihoods(method, batch)
    return [
        Answer(
            id=example.id,
            user_id=user,
            history_items=len(example.profile.items),
            input=example.input,
            prediction=prediction,
            target=example.target,
            log_likelihood=log_likelihood,
            tokens=tokens,
        )
        for example, user, prediction, (log_likelihood, tokens) in zip(
            batch, users, predictions, likelihoods, strict=True
        )
    ]


def _likelihoods(method: Method, batch: Sequence[Example]) -> list[tuple[float, int] | tuple[None, None]]:
    """Ask for the likelihoods of the targets there are; a target of no token has none."""
    known = [example for example in batch if example.target is not None]
    if not known or not isinstance(method, LikelihoodMethod):
        return [(None, None)] * len(batch)
    means, counts = method.log_likelihood(known).tolist(), method.answer_tokens(known).tolist()
    for example, mean, count in zip(known, means, counts, strict=True):
        if count and not math.isfinite(mean):
            raise PersonaPlugError(f"method {method.name!r} gave query {example.id!r} the log-likelihood {mean}")
    found = iter(zip(means, counts, strict=True))
    pairs = [next(found) if example.target is not None else (0.0, 0) for example in batch]
    return [pair if pair[1] else (None, None) for pair in pairs]
