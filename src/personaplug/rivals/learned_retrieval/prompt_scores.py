"""What a prompt is worth to the language model: how likely, or how good, it makes the answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.evaluation.answers import Answer
from personaplug.evaluation.metrics import METRICS
from personaplug.rivals.learned_retrieval.score_cache import ScoreRequest
from personaplug.tasks.task import Task

Score = Callable[[Sequence[ScoreRequest]], list[float]]


def likelihood_score(backbone: Backbone, *, max_input_tokens: int, max_output_tokens: int) -> Score:
    """Score by the log-probability of the whole right answer, in nats: finer than a metric, and one pass a prompt."""

    @torch.inference_mode()
    def score(questions: Sequence[ScoreRequest]) -> list[float]:
        inputs = backbone.embed([question.prompt for question in questions], max_tokens=max_input_tokens)
        targets = [question.target for question in questions]
        values: list[float] = backbone.score(inputs, targets, max_tokens=max_output_tokens).log_likelihood.tolist()
        return values

    return score


def metric_score(
    answer: Callable[[Sequence[ScoreRequest]], Sequence[str]], task: Task, *, relative_errors: bool = False
) -> Score:
    """Score by the task's first metric of the generated answer, errors turned round so that more is better.

    Macro-F1 says nothing of one answer; accuracy stands in for it.

    Args:
        answer: Answers questions.
        task: Says how answers are scored.
        relative_errors: An error counts as (worst - error) / worst (arXiv 2404.05970), worst being the right answer's
            distance from the farther end of the scale; else as minus the error.
    """
    metric = METRICS["accuracy" if task.metrics[0] == "macro-f1" else task.metrics[0]]
    sign = 1.0 if metric.higher_is_better else -1.0

    def score(questions: Sequence[ScoreRequest]) -> list[float]:
        answers = [
            Answer(id="", user_id="", history_items=0, input="", prediction=prediction, target=question.target)
            for question, prediction in zip(questions, answer(questions), strict=True)
        ]
        found = metric.score_each(answers, task.labels)
        if metric.higher_is_better or not relative_errors:
            values: list[float] = (sign * found).tolist()
            return values
        # An answer that is no number lies at the farther end.
        worst = metric.score_each([replace(each, prediction="") for each in answers], task.labels)
        shares: list[float] = (1 - found / np.where(worst > 0, worst, 1)).tolist()
        return shares

    return score


def generated(
    backbone: Backbone, generation: GenerationConfig, *, max_input_tokens: int
) -> Callable[[Sequence[ScoreRequest]], list[str]]:
    """Answer questions' prompts."""
    return lambda questions: backbone.generate(
        backbone.embed([question.prompt for question in questions], max_tokens=max_input_tokens), generation
    )
