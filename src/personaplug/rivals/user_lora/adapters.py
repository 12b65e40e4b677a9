"""LoRA adapters of many users on one frozen language model (LoRA: arXiv 2106.09685), in PEFT's format.

PEFT says what an untrained adapter is and what its tensors and files are called. Nothing of it stays in the language
model, which outside of the verbs here is the bare one. Each row of an answered batch has an adapter of its own: those
of all rows are stacked, and a layer multiplies all rows at once, where PEFT would take one adapter after another.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from personaplug.backbone.attention_maps import Hook, added_to, attention_projections, hooked
from personaplug.backbone.base import Backbone
from personaplug.backbone.tokens import Beside, TokenEmbeddings, alone
from personaplug.config import option
from personaplug.embedder.checkpoint import write_tensors
from personaplug.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import peft

Weights = Mapping[str, Tensor]
"""An adapter's tensors by PEFT's own names."""

ADAPTER_FILE = "adapter_model.safetensors"

_MODEL = "base_model.model."
"""What PEFT's names have before a language model's own."""

_PLACE = "place0"
"""An adapter's name to PEFT, which takes any part of a tensor's dotted name that equals one for it."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """How large an adapter is, and what goes through it."""

    rank: int = option(8, "columns of each of the two trained matrices beside a frozen one")
    alpha: float = option(16.0, "what they add is multiplied by alpha / rank")
    # Not in the repr: hashes of before, which say whether an adapter on disk is the one that is wanted, are of it.
    places: Literal["attention", "query-value"] = field(
        default="attention",
        metadata={"help": "every linear map of the attention, or those of queries and values alone"},
        repr=False,
    )
    dropout: float = field(
        default=0.0, metadata={"help": "share of what an adapter reads that is left out in training"}, repr=False
    )
    reads: Literal["answer", "all"] = field(
        default="all",
        metadata={"help": "what goes through it: answers and what stands right before them, or inputs too"},
        repr=False,
    )

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"rank {self.rank} and alpha {self.alpha} must be above zero, dropout {self.dropout} below one"
            )

    @property
    def scale(self) -> float:
        """What an adapter adds is multiplied by this."""
        return self.alpha / self.rank


class UserAdapters:
    """Adapters beside a backbone, which trains one user's at a time, and answers by many users' at once.

    Args:
        backbone: Its weights stay as they are.
        config: How large the adapters are, and what goes through them.
        seed: Of the weights that an adapter starts from.

    Attributes:
        start: What an untrained adapter weighs: its second matrix is zero, so the model answers as the bare one.
        tail: Tokens at the end of every input that an adapter reads; 0 where it reads all that its maps do.

    Raises:
        ConfigError: The model has no attention with linear maps in it.
        MissingExtraError: PEFT is not installed.
    """

    def __init__(self, backbone: Backbone, config: LoraConfig, *, seed: int = 0) -> None:
        library = import_peft()
        maps = _maps(backbone, config)
        self.backbone, self.config = backbone, config
        self.settings: peft.LoraConfig = library.LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(maps),
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in maps.values()),
        )
        self.start: Weights = _untrained(backbone, self.settings, seed=seed)
        is_in_decoder = backbone.model.config.is_encoder_decoder
        self.tail = 0 if config.reads == "all" or is_in_decoder else backbone.closing_tokens
        self._maps = {f"{_MODEL}{name}": module for name, module in maps.items()}
        self._task: Weights = {}
        self._trained: Weights = self.start
        self._standing: Beside = alone

    @property
    def has_task(self) -> bool:
        """Whether an adapter of everybody stands beside the language model, frozen, under every user's."""
        return bool(self._task)

    def weights(self) -> Weights:
        """Copy the adapter that was trained last, in float32 on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._trained.items()}

    def rest_on(self, task: Weights) -> None:
        """Put an adapter of everybody beside the language model, under the users': frozen, for every row.

        What OPPU merges into the language model (arXiv 2402.04401) is added here each time instead: the same function,
        and no weight of the language model moves.

        Args:
            task: What it weighs.
        """
        self._check(task)
        self._task = {name: tensor.to(self.backbone.device) for name, tensor in task.items()}

    def joined(self, inputs: TokenEmbeddings) -> TokenEmbeddings:
        """Have whatever is trained or answers stand beside the language model where it reads the end of inputs.

        The frozen model reads what is before it alone. Where adapters read all, nothing is to be done.
        """
        return replace(inputs, tail=self.tail, beside=self._stand) if self.tail else inputs

    @contextmanager
    def training(self, start: Weights) -> Iterator[list[nn.Parameter]]:
        """Place an adapter, let every row go through it, and give its parameters to an optimizer.

        Args:
            start: What the adapter weighs at first.
        """
        self._check(start)
        device = self.backbone.device
        own = {name: nn.Parameter(tensor.to(device, copy=True)) for name, tensor in start.items()}
        self._trained = own
        dropout = self.config.dropout
        with self._through(lambda last: [*self._paths(own, last, dropout), *self._paths(self._task, last)]):
            yield list(own.values())

    @contextmanager
    def answering(self, users: Sequence[str | None], adapters: Mapping[str, Weights]) -> Iterator[None]:
        """Let each row of the batches inside go through its user's adapter.

        Args:
            users: Whose each row is; None for the bare model, with the adapter of everybody where there is one. Beams
                of a row go with it.
            adapters: Of all these users.

        Raises:
            ConfigError: An adapter is of another size, or of another language model.
        """
        rows = users[:1] if len(set(users)) == 1 else users  # all rows of one user read one copy
        each = self._stacked([self._over_task(self.start if user is None else adapters[user]) for user in rows])
        self.backbone.has_own_rows = True
        try:
            with self._through(lambda last: self._paths(each, last)):
                yield
        finally:
            self.backbone.has_own_rows = False

    def save(self, weights: Weights, folder: Path) -> None:
        """Write an adapter as PEFT itself would: two files, no pickle; for other tools where it reads all."""
        write_tensors(weights, folder / ADAPTER_FILE)
        self.settings.save_pretrained(str(folder))

    def _stand(self, answer_tokens: int) -> AbstractContextManager[PreTrainedModel | None]:
        return self._standing(answer_tokens)

    @contextmanager
    def _through(self, hooks: Callable[[int | None], Sequence[tuple[nn.Module, Hook]]]) -> Iterator[None]:
        """Have hooks on the maps for all that is read inside, or where the ends of joined inputs are read."""
        if not self.tail:
            with hooked(hooks(None)):
                yield
            return
        self._standing = lambda answer_tokens: hooked(hooks(self.tail + answer_tokens))
        try:
            yield
        finally:
            self._standing = alone

    def _paths(self, weights: Weights, last: int | None, dropout: float = 0.0) -> list[tuple[nn.Module, Hook]]:
        """Let all rows go through one adapter, or each through its own of a stack; through none where it is empty."""
        path = partial(_path, scale=self.config.scale, last=last, dropout=dropout)
        maps = self._maps.items() if weights else ()
        return [(each, path(weights[f"{name}.lora_A.weight"], weights[f"{name}.lora_B.weight"])) for name, each in maps]

    def _stacked(self, rows: Sequence[Weights]) -> Weights:
        """Put the adapters of all rows side by side, so that a map multiplies all rows at once."""
        return {name: torch.stack([each[name] for each in rows]).to(self.backbone.device) for name in self.start}

    def _check(self, weights: Weights) -> None:
        if _shapes(weights) != _shapes(self.start):
            raise ConfigError("an adapter does not fit this language model", hint="was config.toml edited?")

    def _over_task(self, weights: Weights) -> Weights:
        """Put an adapter over that of everybody: the two are one, of both their ranks."""
        self._check(weights)
        both = {name: [task, weights[name].to(task.device)] for name, task in self._task.items()}
        return {**weights, **{name: torch.cat(each, dim=int("lora_B" in name)) for name, each in both.items()}}


def import_peft() -> Any:  # noqa: ANN401 (a module that may be absent)
    """Import PEFT.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec("peft") is None:
        raise MissingExtraError("an adapter for each user", extra="lora")
    import peft

    return peft


def _maps(backbone: Backbone, config: LoraConfig) -> dict[str, nn.Module]:
    """Find the maps that adapters stand beside; of answers alone, an encoder knows nothing."""
    maps = attention_projections(backbone.model, only=config.places)
    if config.reads == "all" or not backbone.model.config.is_encoder_decoder:
        return maps
    return {name: each for name, each in maps.items() if "decoder" in name.split(".")}


def _untrained(backbone: Backbone, settings: Any, *, seed: int) -> Weights:  # noqa: ANN401 (PEFT's)
    """Let PEFT draw an adapter, and leave the language model as it was."""
    library = import_peft()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks the model by a name that transformers will drop
        torch.manual_seed(seed)
        model = library.PeftModel(backbone.model, settings, adapter_name=_PLACE)
    state = library.get_peft_model_state_dict(model, adapter_name=_PLACE, save_embedding_layers=False)
    start = {name: tensor.detach().float().cpu().clone() for name, tensor in state.items()}
    model.unload()
    return start


def _path(first: Tensor, second: Tensor, *, scale: float, last: int | None, dropout: float) -> Hook:
    """Add what an adapter, or one for each row, makes of the last columns that a map reads, or of all."""

    def add(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        read = inputs[0] if last is None else inputs[0][..., -last:, :]
        # A query's own rows (beams, or tokens) are neighbours.
        rows = read.to(first.dtype).reshape(*first.shape[:-2], -1, first.shape[-1])
        added = functional.dropout(rows, dropout) @ first.mT @ second.mT
        return added_to(output, added.view(*read.shape[:-1], -1), scale=scale)

    return add


def _shapes(weights: Weights) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}
