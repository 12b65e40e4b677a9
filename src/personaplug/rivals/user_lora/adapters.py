"""LoRA adapters of many users on one frozen language model, by way of PEFT (LoRA: arXiv 2106.09685).

PEFT puts small trained matrices beside the model's own, which stay as they are: outside of the verbs here the language
model is the bare one. PEFT trains one adapter at a time. Each row of an answered batch has an adapter of its own: those
of all rows are stacked, and a layer multiplies all rows at once, where PEFT would take one adapter after another.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from personaplug.backbone.attention_maps import Hook, attention_projections, hooked
from personaplug.backbone.base import Backbone
from personaplug.config import option
from personaplug.embedder.checkpoint import write_tensors
from personaplug.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import peft

Weights = Mapping[str, Tensor]
"""An adapter's tensors by PEFT's own names."""

ADAPTER_FILE = "adapter_model.safetensors"

_USER, _TASK = "place0", "task"
"""Names of places to PEFT, which takes any part of a tensor's dotted name that equals one for the place."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """How large an adapter is."""

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

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"rank {self.rank} and alpha {self.alpha} must be above zero, dropout {self.dropout} below one"
            )


class UserAdapters:
    """A place for adapters on a backbone, which trains one user's at a time, and answers by many users' at once.

    Args:
        backbone: Its model gets the places; its own weights stay as they are.
        config: How large the adapters are.
        seed: Of the weights that an adapter starts from.

    Attributes:
        start: What an untrained adapter weighs: its second matrix is zero, so the model answers as the bare one.

    Raises:
        ConfigError: The model has no attention with linear maps in it.
        MissingExtraError: PEFT is not installed.
    """

    def __init__(self, backbone: Backbone, config: LoraConfig, *, seed: int = 0) -> None:
        library = import_peft()
        targets = attention_projections(backbone.model, only=config.places)
        self.backbone = backbone
        self.settings: peft.LoraConfig = library.LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(targets),
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in targets.values()),
        )
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT asks the model by a name that transformers will drop
            torch.manual_seed(seed)
            self._model = library.PeftModel(backbone.model, self.settings, adapter_name=_USER)
        self._model.eval()
        self._tuner = self._model.base_model
        self._layers = {
            name: module
            for name, module in self._model.named_modules()
            if isinstance(module, library.tuners.lora.LoraLayer)
        }
        self._read: Callable[[str], dict[str, Tensor]] = lambda place: library.get_peft_model_state_dict(
            self._model, adapter_name=place, save_embedding_layers=False
        )
        # A state's tensors are the parameters themselves, so that writing into them places an adapter.
        self._places = {_USER: self._read(_USER)}
        self.start: Weights = self.weights()
        self._task: Weights = {}
        self._tuner.disable_adapter_layers()

    @property
    def has_task(self) -> bool:
        """Whether an adapter of everybody stands beside the language model, frozen, under every user's."""
        return bool(self._task)

    def weights(self) -> Weights:
        """Copy the adapter that was trained last, in float32 on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._places[_USER].items()}

    def rest_on(self, task: Weights) -> None:
        """Put an adapter of everybody beside the language model, under the users': frozen, for every row.

        What OPPU merges into the language model (arXiv 2402.04401) is added here each time instead: the same function,
        and no weight of the language model moves.

        Args:
            task: What it weighs.
        """
        self._place(_TASK, task)
        self._task = task

    @contextmanager
    def training(self, start: Weights) -> Iterator[list[nn.Parameter]]:
        """Place an adapter, let every row go through it, and give its parameters to an optimizer.

        Args:
            start: What the adapter weighs at first.
        """
        self._place(_USER, start)
        dropouts = [module for layer in self._layers.values() for module in layer.lora_dropout.modules()]
        with hooked([(layer, _with_task) for layer in self._layers.values() if self.has_task]):
            self._tuner.enable_adapter_layers()
            try:
                for module in dropouts:
                    module.training = True  # these alone: the language model's own dropout stays off
                yield [weight for weight in self._model.parameters() if weight.requires_grad]
            finally:
                for module in dropouts:
                    module.training = False
                self._tuner.disable_adapter_layers()

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
        each = [self._over_task(self.start if user is None else adapters[user]) for user in rows]
        with hooked([(layer, self._stacked(name, each)) for name, layer in self._layers.items()]):
            yield

    def save(self, weights: Weights, folder: Path) -> None:
        """Write an adapter as PEFT itself would, for other tools to load: two files, no pickle."""
        write_tensors(weights, folder / ADAPTER_FILE)
        self.settings.save_pretrained(str(folder))

    def _place(self, place: str, weights: Weights) -> None:
        if place not in self._places:
            self._model.add_adapter(place, self.settings)
            self._model.eval()
            self._places[place] = self._read(place)
        self._check(weights)
        with torch.no_grad():
            for name, tensor in self._places[place].items():
                tensor.copy_(weights[name])

    def _check(self, weights: Weights) -> None:
        if _shapes(weights) != _shapes(self.start):
            raise ConfigError("an adapter does not fit this language model", hint="was config.toml edited?")

    def _over_task(self, weights: Weights) -> Weights:
        """Put an adapter over that of everybody: the two are one, of both their ranks."""
        self._check(weights)
        both = {name: [task, weights[name]] for name, task in self._task.items()}
        return {**weights, **{name: torch.cat(each, dim=int("lora_B" in name)) for name, each in both.items()}}

    def _stacked(self, name: str, rows: Sequence[Weights]) -> Hook:
        """Let a layer add what each row's adapter makes of its input, all rows at once."""
        layer = self._layers[name]
        held = layer.lora_A[_USER].weight  # where, and how precise
        first = torch.stack([weights[f"{name}.lora_A.weight"] for weights in rows]).to(held)
        second = torch.stack([weights[f"{name}.lora_B.weight"].T for weights in rows]).to(held) * layer.scaling[_USER]

        def add(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            # A query's own rows (beams, or tokens) are neighbours.
            read = inputs[0].reshape(len(first), -1, first.shape[-1]).to(first.dtype)
            added: Tensor = read @ first.mT @ second
            return output + added.view_as(output).to(output.dtype)

        return add


def import_peft() -> Any:  # noqa: ANN401 (a module that may be absent)
    """Import PEFT.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec("peft") is None:
        raise MissingExtraError("an adapter for each user", extra="lora")
    import peft

    return peft


def _with_task(layer: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:  # noqa: ANN401 (PEFT's)
    """Add what the adapter of everybody makes of a layer's input."""
    first, second = layer.lora_A[_TASK], layer.lora_B[_TASK]
    added: Tensor = second(first(inputs[0].to(first.weight.dtype))) * layer.scaling[_TASK]
    return output + added.to(output.dtype)


def _shapes(weights: Weights) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}
