"""A low-rank path folded into copies of the maps that it stands beside, so that an answer's steps cost nothing more.

A step of a small model is many short products, and a path beside each map shows. Folded in, a step has as many as the
bare model's. The language model's own weights stay as they are: the copy shares all but these maps with it.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from personaplug.plug.low_rank import Shares, with_low_rank

MOST_BYTES = 2**29
"""Of maps that are copied. Of larger models it would take too much memory, and there a path hardly shows."""

Matrices = tuple[Float[Tensor, "rank inputs"], Float[Tensor, "outputs rank"]]


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
        model: The copy; None where this model's maps cannot be folded into.
        of: The model that it is a copy of.
        versions: Of the weights of the paths, which a training moves on.
    """

    model: PreTrainedModel | None
    of: PreTrainedModel
    versions: tuple[tuple[int, int], ...]


def versions_of(weights: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Name weights by where they are and how often they were changed; those made for inference never are."""
    return tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in weights)


def folded(
    model: PreTrainedModel, paths: Mapping[str, Matrices], *, scale: float, tail: int | None
) -> PreTrainedModel | None:
    """Copy a language model for answers, with paths folded into the maps that they are named by.

    Only where these are plain maps, neither packed nor split over devices, and small enough to copy; else None. In 16
    bits too: what is folded in would be rounded, and an answer would hang on who shares its batch.
    """
    maps = {name: model.get_submodule(name) for name in paths}
    plain = {name: each for name, each in maps.items() if _is_plain(each)}
    if len(plain) < len(maps) or sum(each.weight.nbytes for each in plain.values()) > MOST_BYTES:
        return None
    shared = chain(model.parameters(), model.buffers(), [model.config, model.generation_config])
    copy: PreTrainedModel = deepcopy(model, {id(each): each for each in shared})
    for name, linear in plain.items():
        copy.set_submodule(name, FoldedMap(linear, paths[name], scale=scale, tail=tail))
    return copy


def _is_plain(linear: nn.Module) -> TypeGuard[nn.Linear]:
    is_own = type(linear) is nn.Linear and type(linear.weight) is nn.Parameter
    return is_own and linear.weight.dtype in (torch.float32, torch.float64)
