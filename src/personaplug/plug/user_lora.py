"""What a run of one adapter a user is: everything that says how the adapters were made, in one ``config.toml``."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Literal

from safetensors import safe_open

from personaplug.config import from_mapping, option, write_toml
from personaplug.embedder.checkpoint import read_weights, write_tensors
from personaplug.errors import ConfigError
from personaplug.files import appearing
from personaplug.method_kinds import AdapterItems
from personaplug.plug.adapter_folder import AdapterFolder
from personaplug.plug.loading import BackboneConfig
from personaplug.plug.lora import LoraConfig, UserAdapters, Weights
from personaplug.plug.run_file import read_config, write_config
from personaplug.plug.run_folder import CONFIG, TASK
from personaplug.tasks.task import Task, load_task

START, ADAPTERS = "start.safetensors", "adapters"
BASE = "base.safetensors"


@dataclass(frozen=True, slots=True)
class ItemsConfig:
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
    learning_rate: float = option(1e-3, "peak of AdamW's learning rate")
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
    items: ItemsConfig = field(default_factory=ItemsConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    training: UserTrainingConfig = field(default_factory=UserTrainingConfig)

    @property
    def rests_on_task(self) -> bool:
        """Whether an adapter of everybody stays beside the language model, under every user's."""
        return self.adaptation.epochs > 0 and self.adaptation.use == "base"


PRESETS = {
    "default": UserLoraConfig(),
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

``docs/methods.md`` says what is not as published.
"""


@dataclass(frozen=True, slots=True)
class UserLoraRun:
    """A run folder.

    Attributes:
        path: The folder.
        config: How its adapters are made.
        task: The run's own copy.
    """

    path: Path
    config: UserLoraConfig
    task: Task

    @classmethod
    def open(cls, path: Path) -> "UserLoraRun":
        """Read a run folder's configuration.

        Raises:
            ConfigError: The folder is no run of this method.
        """
        return cls(path, read_config(UserLoraConfig, path / CONFIG), load_task(str(path / TASK)))

    @property
    def adapters(self) -> AdapterFolder:
        """The users' adapters."""
        return AdapterFolder(self.path / ADAPTERS)

    def save(self) -> None:
        """Write configuration and task."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_config(self.config, self.path / CONFIG)
        write_toml(self.task, self.path / TASK)

    @property
    def has_start(self) -> bool:
        """Whether the weights that every user starts from are there."""
        return (self.path / START).is_file()

    @property
    def adaptation_seconds(self) -> float:
        """What adapting them to the task took; 0 where that was not done."""
        return float(self._made_of.get("seconds", 0.0))

    def keep_start(self, weights: Weights, *, seconds: float | None = None) -> None:
        """Keep the weights that every user of this run starts from, for all that resume it.

        Args:
            weights: An adapter's.
            seconds: What adapting them to the task took; None where that was not done.
        """
        made_of = {} if seconds is None else {"seconds": str(seconds), "adaptation": self._adaptation}
        self.path.mkdir(parents=True, exist_ok=True)
        with appearing(self.path / START) as fresh:
            write_tensors(weights, fresh, metadata=made_of)

    def keep_base(self, task: Weights) -> None:
        """Keep the adapter of everybody that stays under the users'; before the start, which says that all is there."""
        self.path.mkdir(parents=True, exist_ok=True)
        with appearing(self.path / BASE) as fresh:
            write_tensors(task, fresh)

    @property
    def base(self) -> Weights:
        """The adapter of everybody that stays under the users'; nothing where there is none."""
        if not self.config.rests_on_task:
            return {}
        return read_weights(self.path / BASE, hint="delete it and train with --resume")

    def take_start(self, other: Path) -> None:
        """Take what another run's users start from, where it is there: of the same settings, log and language model."""
        if (other / START).is_file() and not self.has_start:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (BASE, START):
                if (other / name).is_file():
                    with appearing(self.path / name) as fresh:
                        copyfile(other / name, fresh)

    def start(self, adapters: UserAdapters) -> Weights:
        """Give the weights that every user of this run starts from: those that were kept, else an untrained adapter's.

        Where an adapter of everybody stays under the users', it is put beside the language model.

        Raises:
            ConfigError: The folder's are of other settings.
        """
        if not self.has_start:
            self.keep_start(adapters.start)
        path = self.path / START
        start = read_weights(path, hint="delete it and train with --resume")
        if _shapes(start) != _shapes(adapters.start):
            raise ConfigError(
                f"{path} does not fit the language model and the rank of its run", hint="train into another --out"
            )
        if not self._is_as_configured(self._made_of.get("adaptation", "")):
            raise ConfigError(
                f"{path} was adapted to the task with other settings than its run's", hint="train into another --out"
            )
        if self.config.rests_on_task and not adapters.has_task:
            adapters.rest_on(self.base)
        return start

    def _is_as_configured(self, held: str) -> bool:
        """Compare settings, not words: a setting that a run of yesterday does not know has its default."""
        if not (held and self._adaptation):
            return held == self._adaptation
        (adaptation, seed), wanted = json.loads(held), self.config
        known = from_mapping(AdaptationConfig, adaptation, where=str(self.path / START))
        return (known, seed) == (wanted.adaptation, wanted.training.seed)

    @property
    def _made_of(self) -> dict[str, str]:
        with safe_open(self.path / START, "pt") as file:
            return file.metadata() or {}

    @property
    def _adaptation(self) -> str:
        """Write down all that decides the adapted weights, apart from log and language model."""
        config = self.config
        return json.dumps([asdict(config.adaptation), config.training.seed]) if config.adaptation.epochs else ""


def _shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
