"""Train a retriever, or the choice between retrievers, from a frozen language model's scores."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from personaplug.backbone.base import Backbone
from personaplug.rivals.learned_retrieval.candidates import CandidateSet
from personaplug.rivals.learned_retrieval.fitting import Chooser, ChoosingProgress, Chosen, Dev, fit_chooser
from personaplug.rivals.learned_retrieval.objectives import Distillation, PolicyGradient, Scores, option_scores
from personaplug.rivals.learned_retrieval.prompt_scores import generated, likelihood_score, metric_score
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.learned_retrieval.score_cache import ScoreCache, ScoreRequest
from personaplug.tasks.task import Task
from personaplug.training.checkpoints import METRICS


class Listener:
    """Asks the frozen language model, and keeps what it said in files.

    Args:
        backbone: The language model.
        run: How to ask.
        task: For its metric.
        folder: Where to keep what was said.
        max_input_tokens: Longest prompt, items included.
    """

    def __init__(
        self, backbone: Backbone, run: RetrievalConfig, task: Task, *, folder: Path, max_input_tokens: int
    ) -> None:
        scoring = run.scoring
        answers = generated(backbone, scoring.generation, max_input_tokens=max_input_tokens)
        self._answers: ScoreCache[str] = ScoreCache(answers, folder / "answers.jsonl", batch_size=scoring.batch_size)
        likely = likelihood_score(
            backbone, max_input_tokens=max_input_tokens, max_output_tokens=scoring.max_output_tokens
        )
        metric = metric_score(self._answers_to, task, relative_errors=scoring.relative_errors)
        score = likely if scoring.score == "likelihood" else metric
        self.scores: ScoreCache[float] = ScoreCache(score, folder / "scores.jsonl", batch_size=scoring.batch_size)

    def answer(self, prompts: Sequence[str]) -> list[str]:
        """Answer prompts."""
        return self._answers([ScoreRequest(prompt) for prompt in prompts])

    def score(self, choices: Sequence[CandidateSet], *, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Score every option, so that nothing is left to be asked."""
        questions = [ScoreRequest(prompt, choice.target) for choice in choices for prompt in choice.prompts]
        self.scores(questions, on_progress=on_progress)

    def _answers_to(self, questions: Sequence[ScoreRequest]) -> list[str]:
        return self.answer([question.prompt for question in questions])


def train_chooser(
    chooser: Chooser,
    choices: Sequence[CandidateSet],
    *,
    listener: Listener,
    run: RetrievalConfig,
    dev: Sequence[CandidateSet] = (),
    folder: Path,
    on_progress: Callable[[ChoosingProgress], None] | None = None,
) -> Chosen:
    """Fit a retriever or a selector in place.

    Args:
        chooser: Untrained.
        choices: Of training queries.
        listener: The language model, asked as needed for what it has not yet scored.
        run: The method and its settings.
        dev: Choices of dev queries, to keep the best weights by; empty to keep the last.
        folder: The run's folder.
        on_progress: Called after each step.

    Raises:
        ConfigError: No query leaves a choice.
    """
    return fit_chooser(
        chooser,
        choices,
        objective=_objective(run, listener.scores),
        config=run.fitting,
        dev=_dev([choice for choice in dev if choice.options], listener.scores, run=run),
        metrics=folder / METRICS,
        on_progress=on_progress,
    )


def _objective(run: RetrievalConfig, score: Scores) -> Distillation | PolicyGradient:
    if run.kind.by_policy:
        return PolicyGradient(score, torch.Generator().manual_seed(run.fitting.seed))
    return Distillation(score, run.scoring.temperature)


def _dev(choices: Sequence[CandidateSet], score: Scores, *, run: RetrievalConfig) -> Dev:
    if not choices:
        return Dev((), lambda _: 0.0, None)
    scores = option_scores(choices, score).numpy()
    # Options are the dense retriever's best items in its order, or one a retriever: then the best retriever is it.
    reference = scores[:, 0].mean() if run.is_ranker else scores.mean(axis=0).max()
    rows = np.arange(len(choices))
    return Dev(choices, lambda places: float(scores[rows, list(places)].mean()), float(reference))
