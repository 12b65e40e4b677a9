"""The folder of a run of one adapter a user: its configuration, what all users start from, and their adapters."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import copyfile

import torch
from safetensors import safe_open

from personaplug.backbone.precision import Precision
from personaplug.config import from_mapping
from personaplug.embedder.checkpoint import read_weights, write_tensors
from personaplug.errors import ConfigError
from personaplug.files import appearing
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG, task_of, write_run
from personaplug.rivals.user_lora.adapter_folder import AdapterFolder
from personaplug.rivals.user_lora.adapters import UserAdapters, Weights
from personaplug.rivals.user_lora.run import AdaptationConfig, UserLoraConfig
from personaplug.tasks.task import Task

START, ADAPTERS = "start.safetensors", "adapters"
BASE = "base.safetensors"


@dataclass(frozen=True, slots=True)
class UserLoraFolder:
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
    def open(cls, path: Path) -> "UserLoraFolder":
        """Read a run folder's configuration.

        Raises:
            ConfigError: The folder is no run of this method.
        """
        return cls(path, read_config(UserLoraConfig, path / CONFIG), task_of(path))

    @property
    def adapters(self) -> AdapterFolder:
        """The users' adapters."""
        return AdapterFolder(self.path / ADAPTERS)

    @property
    def precision(self) -> Precision:
        """Which precision to train in: what was begun goes on in its own."""
        asked = self.config.training.precision
        is_begun = asked == "auto" and (self.path / CONFIG).is_file()
        return UserLoraFolder.open(self.path).config.training.precision if is_begun else asked

    def in_precision(self, dtype: torch.dtype) -> "UserLoraFolder":
        """Write down in which precision it trains, for who resumes the run, on whichever machine."""
        settled: Precision = "bfloat16" if dtype == torch.bfloat16 else "float32"
        training = replace(self.config.training, precision=settled)
        return replace(self, config=replace(self.config, training=training))

    def save(self) -> None:
        """Write configuration and task."""
        write_run(self.path, self.config, task=self.task)

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
