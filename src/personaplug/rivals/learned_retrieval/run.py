"""A run of learned retrieval: how a retriever, or the choice between retrievers, was trained with a language model."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.loading import BackboneConfig
from personaplug.config import option
from personaplug.embedder.checkpoint import load_weights
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.files import sha256_of
from personaplug.method_kinds import METHOD_KINDS, LearnedRetrieval, MethodKind
from personaplug.plug.encoders import encoder_of_run
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import (
    CONFIG,
    WEIGHTS,
    check_is_run,
    check_is_trained,
    check_method,
    check_task,
    task_of,
)
from personaplug.records import HistoryItem
from personaplug.rivals.learned_retrieval.ranker import ItemRanker, RankerConfig
from personaplug.rivals.learned_retrieval.selector import PromptSelector, Reading
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class ScoringConfig:
    """How the language model says what a prompt is worth."""

    score: Literal["likelihood", "metric"] = option(
        "likelihood",
        "likelihood: nats of the whole right answer, one pass a prompt; metric: the task's first, of a generated one",
    )
    temperature: float = option(1.0, "of the softmax over scores that is learned from; not for ropg-rl")
    item_tokens: int = option(64, "longest item in a prompt")
    max_input_tokens: int = option(256, "longer inputs are cut at their end")
    max_output_tokens: int = option(128, "longer answers are cut in scoring")
    max_new_tokens: int = option(48, "longest generated answer, for metric and rspg-post")
    beams: int = option(1, "of the search for these answers; 1 for greedy ones")
    relative_errors: bool = option(
        False, "for metric: an error counts as (worst - error) / worst, worst being the largest that the answer allows"
    )
    batch_size: int = option(32, "prompts asked at once")

    def __post_init__(self) -> None:
        lengths = self.item_tokens, self.max_input_tokens, self.max_output_tokens - 1, self.max_new_tokens
        if min(*lengths, self.batch_size, self.beams) < 1 or not self.temperature > 0:
            raise ValueError("temperature, batch_size, beams and the token limits of scoring must be positive")

    @property
    def generation(self) -> GenerationConfig:
        """How answers are decoded that are learned from."""
        greedy = GenerationConfig(max_new_tokens=self.max_new_tokens)
        return replace(greedy, strategy="beam", beams=self.beams) if self.beams > 1 else greedy


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    """Which retrievers a selector chooses from: ``retrievers``, then those of the runs ``ropg``."""

    retrievers: tuple[Literal["none", "recency", "bm25", "dense"], ...] = option(
        ("none", "recency", "bm25", "dense"), "untrained ones; none is the prompt without items"
    )
    ropg: tuple[str, ...] = option((), "runs of ropg-kd and ropg-rl, as paths from the run's folder")
    ropg_digests: tuple[str, ...] = option((), "of their weights, filled in by training")
    k: int = option(4, "items in a prompt")
    reads: Reading = option(  # noqa: RUF009 (text, as in plug/run.py)
        "query", "query: the query's beginning, the answer, the prompt; prompt: all of the prompt, then the answer"
    )
    encoder: str = option("", "what reads them, such as allenai/longformer-base-4096; empty: the run's encoder")
    max_tokens: int = option(512, "that one's longest text")
    fingerprint: str = option("", "that one's, untrained, filled in by training")

    def __post_init__(self) -> None:
        if min(self.k, self.max_tokens) < 1:
            raise ValueError(f"k {self.k} and max_tokens {self.max_tokens} must be at least 1")
        if self.ropg_digests and len(self.ropg_digests) != len(self.ropg):
            raise ValueError("ropg and ropg_digests differ in length")

    @property
    def reader(self) -> EncoderConfig:
        """The encoder that is for choosing alone: its first token's state is scored."""
        return EncoderConfig(model=self.encoder, pooling="cls", max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class FittingConfig:
    """How retriever or selector is fitted."""

    epochs: float = option(2.0, "passes over the training queries, a whole number")
    batch_size: int = option(16, "queries a step")
    learning_rate: float = option(2e-5, "peak of AdamW's learning rate, for the encoder")
    head_learning_rate: float = option(1e-3, "the same for a selector's own weights")
    weight_decay: float = option(1e-4, "of AdamW")
    warmup: float = option(0.05, "share of the steps with a rising learning rate")
    queries: int = option(0, "training queries, drawn with the seed; 0 for all")
    dev_queries: int = option(200, "dev queries by which the best pass is chosen, drawn once with the seed")
    seed: int = option(0, "of everything random")

    def __post_init__(self) -> None:
        if self.epochs % 1 != 0:  # NaN where they are not finite, which is refused too
            raise ValueError(f"epochs {self.epochs} must be a whole number")
        if min(self.epochs, self.batch_size) < 1 or not min(self.learning_rate, self.head_learning_rate) > 0:
            raise ValueError("epochs, batch_size and the learning rates must be positive")


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """A run's method, parts and training."""

    task: str = option("log", "a built-in task or a .toml file; a run keeps its own copy")
    method: LearnedRetrieval = option(  # noqa: RUF009 (text, as in plug/run.py)
        "ropg-kd", "by distillation or policy gradient; choice before or after answers"
    )
    store: str = option("", "the histories it was trained with, as a path from the run's folder")
    fingerprint: str = option("", "of the untrained encoder, filled in by training")
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    fitting: FittingConfig = field(default_factory=FittingConfig)

    @property
    def kind(self) -> MethodKind:
        """The method's row."""
        return METHOD_KINDS[self.method]

    @property
    def is_ranker(self) -> bool:
        """Whether a retriever is trained; else the choice between retrievers is."""
        return self.kind.learns == "ranker"


PRESETS = {
    "default": RetrievalConfig(),
    "paper": RetrievalConfig(
        encoder=EncoderConfig(model="facebook/contriever", pooling="mean", max_tokens=512),
        backbone=BackboneConfig(model="google/flan-t5-xxl"),
        ranker=RankerConfig(candidates=20, temperature=1.0, similarity="product"),
        selection=SelectionConfig(reads="prompt", encoder="allenai/longformer-base-4096"),
        scoring=ScoringConfig(score="metric", max_new_tokens=128, beams=4, relative_errors=True),
        fitting=FittingConfig(learning_rate=1e-5, head_learning_rate=1e-5, weight_decay=0.0),
    ),
}
"""``paper``: the settings of arXiv 2404.05970 and of the code released with it (in https://github.com/LaMP-Benchmark/LaMP).

Numbers of epochs, batches and the warm-up are ours: those of the code are left to its caller. ``docs/as-published.md``
says what else is not as published.
"""


def read_run(folder: Path, *, method: str, task: Task) -> RetrievalConfig:
    """Read the configuration of a finished run, of this method and task.

    Raises:
        ConfigError: The folder is no run, holds another method or task, or its training did not come to an end.
    """
    check_is_run(folder)
    check_method(folder, method)
    check_task(folder, task_of(folder).name, wanted=task.name)
    check_is_trained(folder)
    return read_config(RetrievalConfig, folder / CONFIG)


def load_ranker(folder: Path, run: RetrievalConfig, *, device: str = "cpu") -> ItemRanker:
    """Load a trained retriever.

    Raises:
        ConfigError: A part is missing or does not fit.
        FingerprintMismatchError: Training began from other weights than those that the encoder's name stands for.
    """
    ranker = ItemRanker(base_encoder(folder, run, device=device), run.ranker)
    load_weights(ranker, folder / WEIGHTS)
    return ranker.requires_grad_(requires_grad=False)


def load_selector(folder: Path, run: RetrievalConfig, *, device: str = "cpu") -> PromptSelector:
    """Load a trained choice; for errors see :func:`load_ranker`."""
    selector = new_selector(run, base_encoder(folder, run, device=device), reader=_reader(folder, run, device=device))
    load_weights(selector, folder / WEIGHTS)
    return selector.requires_grad_(requires_grad=False)


def new_selector(run: RetrievalConfig, encoder: TextEncoder, *, reader: TextEncoder | None) -> PromptSelector:
    """Make an untrained choice.

    Args:
        run: Says between how many retrievers, and what is read.
        encoder: The run's, which reads where there is no other.
        reader: The encoder that is for choosing alone.
    """
    selection = run.selection
    retrievers = len(selection.retrievers) + len(selection.ropg)
    return PromptSelector(reader or encoder, retrievers, reads=selection.reads)


def base_encoder(folder: Path, run: RetrievalConfig, *, device: str) -> TextEncoder:
    """Load the encoder that a run's training began from.

    Raises:
        FingerprintMismatchError: It is another one by now.
    """
    return encoder_of_run(run.encoder, fingerprint=run.fingerprint, folder=folder, device=device)


def _reader(folder: Path, run: RetrievalConfig, *, device: str) -> TextEncoder | None:
    chosen = run.selection
    if not chosen.encoder:
        return None
    return encoder_of_run(chosen.reader, fingerprint=chosen.fingerprint, folder=folder, device=device)


def digest_of(folder: Path) -> str:
    """Tell a run's weights from all others."""
    return sha256_of(folder / WEIGHTS)[:16]


def item_words(task: Task, item: HistoryItem) -> str:
    """Write what a learned retriever reads of an item, a line for each text."""
    return "\n".join(task.learned_texts(item))
