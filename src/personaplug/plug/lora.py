"""LoRA adapters of many users on one frozen language model, by way of PEFT (LoRA: arXiv 2106.09685).

PEFT puts small trained matrices beside the model's own, which stay as they are: outside of the verbs here the language
model is the bare one. Where its layers allow it, each row of a batch goes through an adapter of its own
(https://huggingface.co/docs/peft/developer_guides/lora, "Inference with different LoRA adapters in the same batch").
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
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from personaplug.config import option
from personaplug.embedder.checkpoint import write_tensors
from personaplug.errors import ConfigError, MissingExtraError
from personaplug.plug.backbone import Backbone

if TYPE_CHECKING:
    import peft

Weights = Mapping[str, Tensor]
"""An adapter's tensors by PEFT's own names."""

ADAPTER_FILE = "adapter_model.safetensors"

_PLACE = "place{}"
"""Names a place to PEFT, which takes any part of a tensor's dotted name that equals one for the place."""

_FIRST, _BARE = _PLACE.format(0), "__base__"  # the latter is PEFT's name for no adapter

_TASK = "task"

_QUERY_VALUE = frozenset(
    {"q", "v", "q_proj", "v_proj", "q_lin", "v_lin", "query", "value", "query_key_value", "qkv_proj", "c_attn", "Wqkv"}
)
"""What models call their maps of queries and values, alone or in one map with the keys'."""

_MIXING = ("Linear", "Linear8bitLt", "Linear4bit")
"""PEFT's layers that let every row choose its adapter; those of other quantizations know one for all rows."""


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """How large an adapter is."""

    rank: int = option(8, "columns of each of the two trained matrices beside a frozen one")
    alpha: float = option(16.0, "what they add is multiplied by alpha / rank")
    # Not in the repr: a hash of it says whether an adapter on disk is the one that is wanted.
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
    """Places for adapters on a backbone, each of which holds one user's at a time.

    Args:
        backbone: Its model gets the places; its own weights stay as they are.
        config: How large the adapters are.
        seed: Of the weights that an adapter starts from.

    Attributes:
        start: What an untrained adapter weighs: its second matrix is zero, so the model answers as the bare one.
        mixes: Whether the rows of one batch may have different adapters.
        has_task: Whether an adapter of everybody stands beside the language model, frozen, under every user's.

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
            self._model = library.PeftModel(backbone.model, self.settings, adapter_name=_FIRST)
        self._model.eval()
        self._tuner = self._model.base_model
        self._layers = [each for each in self._tuner.modules() if isinstance(each, library.tuners.lora.LoraLayer)]
        self._read: Callable[[str], dict[str, Tensor]] = lambda place: library.get_peft_model_state_dict(
            self._model, adapter_name=place, save_embedding_layers=False
        )
        # A state's tensors are the parameters themselves, so that writing into them places an adapter.
        self._places = {_FIRST: self._read(_FIRST)}
        self.start: Weights = self.weights()
        self.mixes = all(type(layer).__name__ in _MIXING for layer in self._layers)
        self.has_task = False
        self._tuner.disable_adapter_layers()

    def weights(self) -> Weights:
        """Copy the adapter that was trained last, in float32 on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._places[_FIRST].items()}

    def rest_on(self, task: Weights) -> None:
        """Put an adapter of everybody beside the language model, under the users': frozen, for every row.

        What OPPU merges into the language model (arXiv 2402.04401) is added here each time instead: the same function,
        and no weight of the language model moves.

        Args:
            task: What it weighs.
        """
        self._place(_TASK, task)
        self.has_task = True

    @contextmanager
    def training(self, start: Weights) -> Iterator[list[nn.Parameter]]:
        """Place an adapter, let every row go through it, and give its parameters to an optimizer.

        Args:
            start: What the adapter weighs at first.
        """
        self._place(_FIRST, start)
        dropouts = [module for layer in self._layers for module in layer.lora_dropout.modules()]
        with self._enabled():
            try:
                for module in dropouts:
                    module.training = True  # these alone: the language model's own dropout stays off
                yield [weight for weight in self._model.parameters() if weight.requires_grad]
            finally:
                for module in dropouts:
                    module.training = False

    @contextmanager
    def answering(self, users: Sequence[str | None], adapters: Mapping[str, Weights]) -> Iterator[None]:
        """Let each row of the batches inside go through its user's adapter.

        Args:
            users: Whose each row is; None for the bare model, with the adapter of everybody where there is one. Beams
                of a row go with it.
            adapters: Of all these users.

        Raises:
            ConfigError: An adapter is of another size, or of another language model.
            ValueError: The rows are of different users, and this model cannot mix them.
        """
        if not self.mixes:
            with self._all_rows(_only(users), adapters):
                yield
            return
        known = dict.fromkeys(user for user in users if user is not None)
        places = {user: _PLACE.format(number) for number, user in enumerate(known)}
        for user, place in places.items():
            self._place(place, adapters[user])
        choose = _choosing([_BARE if user is None else places[user] for user in users])
        with self._enabled():
            hooks = [layer.register_forward_pre_hook(choose, with_kwargs=True) for layer in self._layers]
            try:
                yield
            finally:
                for hook in hooks:
                    hook.remove()

    def save(self, weights: Weights, folder: Path) -> None:
        """Write an adapter as PEFT itself would, for other tools to load: two files, no pickle."""
        write_tensors(weights, folder / ADAPTER_FILE)
        self.settings.save_pretrained(str(folder))

    @contextmanager
    def _all_rows(self, user: str | None, adapters: Mapping[str, Weights]) -> Iterator[None]:
        if user is None:
            yield
            return
        self._place(_FIRST, adapters[user])
        with self._enabled():
            yield

    @contextmanager
    def _enabled(self) -> Iterator[None]:
        self._tuner.enable_adapter_layers()
        hooks = [layer.register_forward_hook(_with_task) for layer in self._layers] if self.has_task else []
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._tuner.disable_adapter_layers()

    def _place(self, place: str, weights: Weights) -> None:
        if place not in self._places:
            self._model.add_adapter(place, self.settings)
            self._model.eval()
            self._places[place] = self._read(place)
        held = self._places[place]
        if {name: tensor.shape for name, tensor in held.items()} != {n: tensor.shape for n, tensor in weights.items()}:
            raise ConfigError("an adapter does not fit this language model", hint="was config.toml edited?")
        with torch.no_grad():
            for name, tensor in held.items():
                tensor.copy_(weights[name])


def import_peft() -> Any:  # noqa: ANN401 (a module that may be absent)
    """Import PEFT.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec("peft") is None:
        raise MissingExtraError("an adapter for each user", extra="lora")
    import peft

    return peft


def attention_projections(
    model: PreTrainedModel, *, only: Literal["attention", "query-value"] = "attention"
) -> dict[str, nn.Module]:
    """Find the linear maps inside a model's attention, by their full names: queries, keys, values, outputs.

    Args:
        model: Of Hugging Face.
        only: All of them, or those that make queries and values, be it with keys in one map.

    Attention is what its class calls so, in every model of Hugging Face (``T5Attention``, ``LlamaAttention``,
    ``BertSelfAttention``); no model is known by its own name here.

    Raises:
        ConfigError: There are none.
    """
    attentions = [name for name, module in model.named_modules() if "Attention" in type(module).__name__]
    found: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and any(name.startswith(f"{each}.") for each in attentions)
        and (only == "attention" or name.rpartition(".")[2] in _QUERY_VALUE)
    }
    if not found:
        raise ConfigError(
            f"{type(model).__name__} has no attention with linear maps for adapters to stand beside ({only})",
            hint="name another language model with --backbone, or --set adapter.places=attention",
        )
    return found


def _choosing(names: Sequence[str]) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], tuple[Any, Any]]:
    """Tell a layer which adapter each of its rows has: a query's own rows (beams, or tokens) are neighbours."""

    def choose(_: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        copies = len(inputs[0]) // len(names)
        return inputs, options | {"adapter_names": [name for name in names for _ in range(copies)]}

    return choose


def _with_task(layer: Any, inputs: tuple[Any, ...], output: Tensor) -> Tensor:  # noqa: ANN401 (PEFT's)
    """Add what the adapter of everybody makes of a layer's input."""
    first, second = layer.lora_A[_TASK], layer.lora_B[_TASK]
    added: Tensor = second(first(inputs[0].to(first.weight.dtype))) * layer.scaling[_TASK]
    return output + added.to(output.dtype)


def _only(users: Sequence[str | None]) -> str | None:
    if len(set(users)) > 1:
        raise ValueError("this language model's layers take one adapter a batch")
    return users[0]
