"""What a run of one adapter a user is: everything that says how the adapters were made, in one ``config.toml``."""

from dataclasses import dataclass, field
from typing import Literal

from personaplug.backbone.loading import BackboneConfig
from personaplug.backbone.precision import Precision
from personaplug.config import option
from personaplug.method_kinds import AdapterItems
from personaplug.rivals.user_lora.adapters import LoraConfig


@dataclass(frozen=True, slots=True)
class AdapterItemsConfig:
    """Which of the user's earlier items stand in each prompt, in training and in answering."""

    k: int = option(0, "items in a prompt; 0 for none")
    retriever: AdapterItems = option("bm25", "what chooses them")  # noqa: RUF009 (text, as in plug/run.py)
    item_tokens: int = option(64, "longest item")

    def __post_init__(self) -> None:
        if self.k < 0 or self.item_tokens < 1:
            raise ValueError(f"k {self.k} must be 0 or more, item_tokens {self.item_tokens} above zero")


@dataclass(frozen=True, slots=True)
class UserTrainingConfig:
    """How one user's adapter is fitted."""

    epochs: float = option(3.0, "passes over the user's history")
    batch_size: int = option(8, "history items a step")
    learning_rate: float = option(1e-3, "peak of AdamW's learning rate")
    weight_decay: float = option(0.0, "of AdamW")
    warmup: float = option(0.05, "share of the steps with a rising learning rate")
    max_gradient: float = option(1.0, "longer gradients are cut to this length")
    max_items: int = option(512, "train on the latest so many items; 0 for all")
    max_input_tokens: int = option(256, "longer inputs are cut at their end")
    max_output_tokens: int = option(128, "longer answers are cut in training and scoring")
    seed: int = option(0, "of the weights that all users start from, and of the order of items")
    # Not in the repr, as in adapters.py.
    precision: Precision = field(
        default="float32",
        metadata={"help": "of the language model in training; auto: bfloat16 where the processor has it"},
        repr=False,
    )

    def __post_init__(self) -> None:
        if min(self.batch_size, self.max_items + 1, self.max_input_tokens) < 1 or self.max_output_tokens < 2:
            raise ValueError("batch_size and the token limits must be positive, max_items 0 or more")
        if not self.epochs > 0 or not self.learning_rate > 0 or not self.max_gradient > 0:
            raise ValueError("epochs, learning_rate and max_gradient must be above zero")


@dataclass(frozen=True, slots=True)
class AdaptationConfig:
    """How what all users start from is fitted to the task first: by everybody's queries of the split train."""

    epochs: float = option(0.0, "passes over them; 0 for none: users start from the bare language model")
    queries: int = option(0, "so many of them, drawn with training's seed; 0 for all")
    batch_size: int = option(8, "queries a step")
    learning_rate: float = option(4e-3, "peak of AdamW's learning rate; as that of an adapter of all users")
    use: Literal["start", "base"] = option(
        "start", "start: users' adapters go on from it; base: it stays under them, frozen, and they start untrained"
    )

    def __post_init__(self) -> None:
        if min(self.epochs, self.queries) < 0 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ValueError("epochs and queries must be 0 or more, batch_size and learning_rate above zero")


@dataclass(frozen=True, slots=True)
class UserLoraConfig:
    """A run's queries, parts and training."""

    task: str = option("log", "a built-in task or a .toml file; a run keeps its own copy")
    method: Literal["user-lora"] = option("user-lora", "one adapter a user")
    split: Literal["train", "dev", "test"] = option("test", "whose users, each as of their first query in it")
    queries: int = option(0, "for so many of its queries, drawn with the seed; 0 for all")
    history: Literal["own", "stranger"] = option("own", "whose history a query goes with")
    draw: int | None = option(None, "seed of the draw of queries and strangers; that of training where there is none")
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    adapter: LoraConfig = field(default_factory=LoraConfig)
    items: AdapterItemsConfig = field(default_factory=AdapterItemsConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    training: UserTrainingConfig = field(default_factory=UserTrainingConfig)

    @property
    def rests_on_task(self) -> bool:
        """Whether an adapter of everybody stays beside the language model, under every user's."""
        return self.adaptation.epochs > 0 and self.adaptation.use == "base"


PRESETS = {
    "default": UserLoraConfig(adapter=LoraConfig(reads="answer"), training=UserTrainingConfig(precision="auto")),
    "paper": UserLoraConfig(
        backbone=BackboneConfig(model="meta-llama/Llama-2-7b-hf"),
        adapter=LoraConfig(rank=8, alpha=8.0, places="query-value", dropout=0.05),
        adaptation=AdaptationConfig(epochs=3.0, batch_size=16, learning_rate=1e-4, use="base"),
        training=UserTrainingConfig(
            epochs=2.0,
            batch_size=16,
            learning_rate=1e-4,
            weight_decay=1e-2,
            warmup=0.1,
            max_gradient=0.3,
            max_items=0,
            max_input_tokens=2048,
            max_output_tokens=256,
        ),
    ),
}
"""``paper``: the settings of OPPU (arXiv 2402.04401) and of its code, https://github.com/TamSiuhin/OPPU.

``docs/as-published.md`` says what is not as published.
"""
