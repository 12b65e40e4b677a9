"""What a prompt is worth to the language model: how likely, or how good, it makes the answer."""

from collections.abc import Callable, Sequence

import torch

from personaplug.evaluation.answers import Answer
from personaplug.evaluation.metrics import METRICS
from personaplug.plug.backbone import Backbone, GenerationConfig
from personaplug.tasks.task import Task
from personaplug.training.ledger import Question

Score = Callable[[Sequence[Question]], list[float]]


def likelihood_score(backbone: Backbone, *, max_input_tokens: int, max_output_tokens: int) -> Score:
    """Score by the log-probability of the whole right answer, in nats: finer than a metric, and one pass a prompt."""

    @torch.inference_mode()
    def score(questions: Sequence[Question]) -> list[float]:
        inputs = backbone.embed([question.prompt for question in questions], max_tokens=max_input_tokens)
        targets = [question.target for question in questions]
        values: list[float] = backbone.score(inputs, targets, max_tokens=max_output_tokens).log_likelihood.tolist()
        return values

    return score


def metric_score(answer: Callable[[Sequence[Question]], Sequence[str]], task: Task) -> Score:
    """Score by the task's first metric of the generated answer, errors turned round so that more is better.

    Macro-F1 says nothing of one answer; accuracy stands in for it.
    """
    metric = METRICS["accuracy" if task.metrics[0] == "macro-f1" else task.metrics[0]]
    sign = 1.0 if metric.higher_is_better else -1.0

    def score(questions: Sequence[Question]) -> list[float]:
        answers = [
            Answer(id="", user_id="", history_items=0, input="", prediction=prediction, target=question.target)
            for question, prediction in zip(questions, answer(questions), strict=True)
        ]
        values: list[float] = (sign * metric.score_each(answers, task.labels)).tolist()
        return values

    return score


def generated(
    backbone: Backbone, generation: GenerationConfig, *, max_input_tokens: int
) -> Callable[[Sequence[Question]], list[str]]:
    """Answer questions' prompts."""
    return lambda questions: backbone.generate(
        backbone.embed([question.prompt for question in questions], max_tokens=max_input_tokens), generation
    )
