"""What a run is: everything that says how a plug was made, in one ``config.toml``."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.loading import BackboneConfig
from personaplug.backbone.precision import Precision
from personaplug.config import from_mapping, option, read_values
from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import OURS, PAPER, EmbedderConfig
from personaplug.embedder.encoder import BGE, EncoderConfig
from personaplug.errors import ConfigError
from personaplug.method_kinds import METHOD_KINDS, ItemChooser, Prefixed
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.run_folder import CONFIG, holds_run
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the plug is fitted."""

    epochs: float = option(2.0, "passes over the training queries")
    batch_size: int = option(8, "queries a step, of each process; small steps learn more from few queries")
    gradient_accumulation: int = option(1, "batches summed before a step")
    learning_rate: float = option(1e-3, "peak of AdamW's learning rate, for the maps that make the persona")
    vector_learning_rate: float = option(1e-2, "the same for vectors that are trained directly, as a prompt's")
    encoder_learning_rate: float = option(1e-4, "the same for a trained query encoder")
    adapter_learning_rate: float = option(4e-3, "the same for an adapter that all users share")
    persona_adapter_learning_rate: float = option(
        0.0, "the same for its columns that are for a persona alone, where there are such; 0: as the others"
    )
    weight_decay: float = option(1e-4, "of AdamW")
    decays_all: bool = option(True, "biases and the weights of layer norms decay too")
    backbone_dropout: bool = option(False, "train with the language model's own dropout; its weights stay frozen")
    encoder_dropout: bool = option(False, "train a query encoder with its own dropout")
    warmup: float = option(0.05, "share of the steps with a rising learning rate")
    queries: int = option(0, "training queries, drawn with the seed; 0 for all")
    max_input_tokens: int = option(256, "longer inputs are cut at their end")
    max_output_tokens: int = option(128, "longer answers are cut in training and scoring")
    cuts_queries: bool = option(True, "persona: a query is read out of the input as far as the language model reads it")
    history_dropout: bool = option(True, "each time an example is seen, keep a random half to all of its history")
    without_history: float = option(0.0, "persona: share of draws that see no history, as a new user has none")
    gradient_checkpointing: bool = option(False, "less memory for more time")
    precision: Precision = option(  # noqa: RUF009 (text, under a name that ruff does not look up)
        "auto", "of the frozen model in training; auto: bfloat16 where the processor has it and it comes out alike"
    )
    kept_megabytes: int = option(
        1000, "memory for what the frozen model makes of inputs, each then read once, where it can be; 0 for none"
    )
    evaluate_every: int = option(0, "steps between evaluations on dev; 0 for four a run")
    dev_queries: int = option(500, "dev queries evaluated, drawn once with the seed")
    patience: int = option(0, "stop after so many evaluations without gain; 0 for never")
    seed: int = option(0, "of everything random")
    processes: int = option(1, "that train together; how many there are says the launcher, such as torchrun, alone")
    shards_backbone: bool = option(
        False, "each process of many holds a part of the language model's layers, where one GPU has no room for all"
    )

    def queries_a_step(self, processes: int) -> int:
        """Count the queries of a step that so many processes take together."""
        return self.batch_size * self.gradient_accumulation * processes

    def __post_init__(self) -> None:
        if min(self.batch_size, self.gradient_accumulation, self.max_input_tokens) < 1 or self.max_output_tokens < 2:
            raise ValueError("batch_size, gradient_accumulation and the token limits must be positive")
        rates = (self.learning_rate, self.vector_learning_rate, self.adapter_learning_rate)
        if not min(self.epochs, *rates) > 0:
            raise ValueError(f"epochs {self.epochs} and the learning rates {rates} must be above zero")
        if not self.persona_adapter_learning_rate >= 0:
            raise ValueError(f"persona_adapter_learning_rate {self.persona_adapter_learning_rate} must not be negative")
        if not 0 <= self.without_history < 1:
            raise ValueError(f"without_history {self.without_history} must be at least 0 and below 1")
        if min(self.queries, self.dev_queries, self.evaluate_every, self.patience, self.kept_megabytes) < 0:
            names = "queries, dev_queries, evaluate_every, patience and kept_megabytes"
            raise ValueError(f"{names} must not be negative")


@dataclass(frozen=True, slots=True)
class ItemsConfig:
    """Which of the user's items stand in the prompt behind the vectors: for methods with a retriever in their name."""

    k: int = option(4, "items in a prompt, in training and in answering")
    item_tokens: int = option(64, "longest item; shorter where the language model has no room for k such")

    def __post_init__(self) -> None:
        if min(self.k, self.item_tokens) < 1:
            raise ValueError(f"k {self.k} and item_tokens {self.item_tokens} must be at least 1")


_RANK = 8
"""Of the adapter that all users share: as large as one user's in user-lora."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """A run's method, parts and training."""

    task: str = option("log", "a built-in task or a .toml file; a run keeps its own copy")
    method: Prefixed = option(  # noqa: RUF009 (text, under a name that ruff does not look up)
        "plug",
        "persona; tuned-prompt: as many vectors without any user; tuned-lora: an adapter of all users, and no vectors;"
        " each alone or before retrieved items",
    )
    published_views: bool = option(
        False, "read of an item what the released code reads, where the task says so; the store is indexed for it"
    )
    store: str = option("", "the histories it was trained with, as a path from the run's folder")
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    embedder: EmbedderConfig = OURS
    adapter: SharedAdapterConfig = field(default_factory=SharedAdapterConfig)
    copying: CopyingConfig = field(default_factory=CopyingConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    items: ItemsConfig = field(default_factory=ItemsConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: GenerationConfig = field(default_factory=GenerationConfig)

    def form_of(self, task: Task) -> Task:
        """Give a task in the form that this run reads."""
        return task.as_published() if self.published_views else task

    @property
    def has_persona(self) -> bool:
        """Whether the vectors are of a user; those of a tuned prompt are of none."""
        return METHOD_KINDS[self.method].has_persona

    @property
    def vectors(self) -> int:
        """How many vectors stand beside the input."""
        return 0 if METHOD_KINDS[self.method].is_shared_adapter else self.embedder.vectors

    @property
    def shared_adapter(self) -> SharedAdapterConfig | None:
        """The adapter that all users share; None where there is none."""
        kind, rank = METHOD_KINDS[self.method], self.adapter.rank
        if kind.is_shared_adapter:
            rank = rank if rank > 0 else _RANK
        elif rank < 0:
            rank = _RANK if kind.has_persona else 0
        return replace(self.adapter, rank=rank) if rank else None

    @property
    def learns_apart(self) -> bool:
        """Whether the adapter has columns that answer alone, and others for a persona."""
        adapter = self.shared_adapter
        if not self.has_persona or adapter is None:
            return False
        return adapter.learns == "apart" or (adapter.learns == "auto" and adapter.reads == "answer")

    @property
    def learns_alone_too(self) -> bool:
        """Whether training reads each example once more, without vectors and copied words."""
        adapter = self.shared_adapter
        return self.has_persona and adapter is not None and adapter.learns != "with"

    @property
    def copies(self) -> bool:
        """Whether the user's own words have a say in the next one."""
        return self.has_persona and self.copying.order > 0

    @property
    def reads_inputs_alone(self) -> bool:
        """Whether the frozen model reads inputs by itself, and all that is trained stands at their ends."""
        adapter = self.shared_adapter
        return (self.embedder.place != "before" or not self.vectors) and (adapter is None or adapter.reads == "answer")

    @property
    def reads_vectors(self) -> bool:
        """Whether vectors of the user's history are needed, for the persona or to choose items by."""
        return METHOD_KINDS[self.method].reads_vectors

    @property
    def retriever(self) -> ItemChooser | None:
        """What chooses the items in the prompt; None where there are none."""
        return METHOD_KINDS[self.method].items


PRESETS = {
    "default": RunConfig(),
    "paper": RunConfig(
        published_views=True,
        encoder=BGE,
        embedder=PAPER,
        adapter=SharedAdapterConfig(rank=0),
        copying=CopyingConfig(order=0),
        backbone=BackboneConfig(model="google/flan-t5-xxl"),
        training=TrainingConfig(
            epochs=22.0,
            learning_rate=1e-4,
            batch_size=64,
            decays_all=False,
            backbone_dropout=True,
            encoder_dropout=True,
            without_history=0.0,
        ),
        decoding=GenerationConfig(strategy="beam", beams=4, max_new_tokens=128),
    ),
}
"""``paper``: the settings of arXiv 2409.11901, section 4.3, and where it says nothing those of its code
(https://github.com/rucliujn/PPlug at 6f9f283); encoder and backbone may be overridden one by one.

The code trains on eleven copies of an example, each with another part of its history, for two epochs: 22 draws. LaMP-3
has one epoch, and answers of 10 tokens: ``training.epochs=11``, ``training.max_output_tokens=10``,
``decoding.max_new_tokens=10``.

The paper trains no vectors directly. Those of the control, and of a user without a history, keep the default's rate:
at 1e-4 they would stay where they begin, and the plug would be compared with a control that has learned nothing.
"""


def decoding_of(folder: Path | None) -> GenerationConfig:
    """Read how answers of a run are decoded where nobody says otherwise, whichever configuration it is written in.

    Where there is no run, or one of before there was this section, that is greedily.

    Raises:
        ConfigError: Its section does not fit.
    """
    if folder is None or not holds_run(folder):
        return GenerationConfig()
    path = folder / CONFIG
    values = read_values(path).get("decoding", {})
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: decoding is {values!r}, not a section")
    return from_mapping(GenerationConfig, values, where=f"{path}: decoding")
