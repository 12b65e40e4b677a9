"""A low-rank path folded into copies of the maps that it stands beside, so that an answer's steps cost nothing more.

A step of a small model is many short products, so a path beside each map takes a visible share of its time. Folded in,
a step has as many products as the bare model's. The language model's own weights stay as they are: the copy shares all
but these maps with it.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from personaplug.plug.low_rank import Shares, with_low_rank

MOST_BYTES = 2**29
"""Of maps that are copied. Of larger models it would take too much memory, and there a path hardly shows."""

Matrices = tuple[Float[Tensor, "rank inputs"], Float[Tensor, "outputs rank"]]


@runtime_checkable
class Foldable(Protocol):
    """An adapter as folding knows it."""

    names: tuple[str, ...]
    tail: int | None

    @property
    def scale(self) -> float:
        """What it adds is multiplied by this."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Give its weights."""

    def columns(self, *, personal: bool) -> Sequence[Matrices]:
        """Give the two matrices beside each map."""


class FoldedMap(nn.Module):
    """A linear map with a path beside it: folded in where all that is read goes through the path.

    Args:
        linear: The map; it stays as it is.
        matrices: Of the path.
        scale: What the path adds is multiplied by this.
        tail: How many tokens at the end of an input go through it; None for all.
    """

    def __init__(self, linear: nn.Linear, matrices: Matrices, *, scale: float, tail: int | None) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.first, self.second = (each.detach() for each in matrices)
        self.scale, self.tail = scale, tail
        self.whole = self.weight + scale * (self.second @ self.first).to(self.weight.dtype)

    def forward(self, read: Float[Tensor, "... tokens inputs"]) -> Float[Tensor, "... tokens outputs"]:
        """Map what is read."""
        if self.tail is None or read.shape[-2] <= self.tail:
            return functional.linear(read, self.whole, self.bias)
        output = functional.linear(read, self.weight, self.bias)
        last = read[..., -self.tail :, :]
        return with_low_rank(output, last, first=self.first, second=self.second, shares=Shares(), scale=self.scale)


@dataclass(frozen=True, slots=True)
class Fold:
    """A language model with paths folded into it, as long as it is true.

    Attributes:
        model: The copy.
        of: The model that it is a copy of.
        versions: Of the weights of both, which a training moves on.
    """

    model: PreTrainedModel
    of: PreTrainedModel
    versions: tuple[tuple[int, int], ...]


class Folds:
    """The copies of one adapter: for inputs with a persona, and for those without one, where it has columns for each.

    A copy is made when it is first wanted, and anew when weights have changed, as all but changes through ``.data``
    show. None goes with a copy of the adapter, nor into a file.
    """

    def __init__(self) -> None:
        self._made: dict[bool, Fold] = {}

    def __reduce__(self) -> tuple[type["Folds"], tuple[()]]:
        return Folds, ()

    def of(self, adapter: Foldable, model: PreTrainedModel, *, personal: bool) -> PreTrainedModel | None:
        """Give a copy of the model with the adapter folded in; None where that cannot be.

        Args:
            adapter: Whose copies these are.
            model: That of the adapter, or a copy in another precision.
            personal: Whether for inputs with a persona.
        """
        weights = [*adapter.parameters(), *model.parameters()]
        if any(weight.is_inference() for weight in weights) or torch.is_autocast_enabled(model.device.type):
            return None
        made, versions = self._made.get(personal), tuple((weight.data_ptr(), weight._version) for weight in weights)
        if made is None or made.of is not model or made.versions != versions:
            self._made.pop(personal, None)  # before there is another: each takes as much memory
            if (copy := folded(adapter, model, personal=personal)) is None:
                return None
            made = self._made[personal] = Fold(copy, model, versions)
        return made.model


def folded(adapter: Foldable, model: PreTrainedModel, *, personal: bool) -> PreTrainedModel | None:
    """Copy a language model for answers, with an adapter folded in; None where its maps or what stands there forbid."""
    if (maps := _plain_maps(model, adapter.names)) is None:
        return None
    shared = chain(model.parameters(), model.buffers(), [model.config, model.generation_config])
    copy: PreTrainedModel = deepcopy(model, {id(each): each for each in shared})
    if any(each._forward_hooks or each._forward_pre_hooks for each in copy.modules()):
        return None  # they were copied too, and would stay: such as those of another thread's adapter
    for (name, linear), matrices in zip(maps.items(), adapter.columns(personal=personal), strict=True):
        copy.set_submodule(name, FoldedMap(linear, matrices, scale=adapter.scale, tail=adapter.tail))
    return copy


def _plain_maps(model: PreTrainedModel, names: Sequence[str]) -> dict[str, nn.Linear] | None:
    """Find maps that can be folded into: all of them plain, neither packed nor split over devices, and small to copy.

    Not in 16 bits: what is folded in would be rounded, and an answer would hang on who shares its batch.
    """
    maps = {name: model.get_submodule(name) for name in names}
    plain = {name: each for name, each in maps.items() if _is_plain(each)}
    is_small = sum(each.weight.nbytes for each in plain.values()) <= MOST_BYTES
    return plain if len(plain) == len(maps) and is_small else None


def _is_plain(linear: nn.Module) -> TypeGuard[nn.Linear]:
    is_own = type(linear) is nn.Linear and type(linear.weight) is nn.Parameter and not hasattr(linear, "_hf_hook")
    return is_own and not linear.weight.is_meta and linear.weight.dtype in (torch.float32, torch.float64)
