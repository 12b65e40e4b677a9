"""The product of a low-rank path, of which some columns are for some rows alone, in reading and in learning."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from personaplug.backbone.attention_maps import added_to
from personaplug.embedder.autocast import without_autocast


@dataclass(frozen=True, slots=True)
class Shares:
    """Which columns of a path a row goes through.

    Attributes:
        read: 1 where a row goes through a column, 0 where it does not; None where all go through all.
        taught: The same of the rows that a column learns of; None where it learns of those that go through it.
    """

    read: Float[Tensor, "rows rank"] | None = None
    taught: Float[Tensor, "rows rank"] | None = None


def with_low_rank(
    output: Float[Tensor, "... outputs"],
    read: Float[Tensor, "... inputs"],
    *,
    first: Float[Tensor, "rank inputs"],
    second: Float[Tensor, "outputs rank"],
    shares: Shares,
    scale: float,
) -> Float[Tensor, "... outputs"]:
    """Add ``scale`` times the product to a map's output; what is read may be the last of its tokens alone.

    A generation takes many short steps: there a product and its sum are one operation, in place.
    """
    is_step = not torch.is_grad_enabled() and output.is_contiguous() and read.shape[:-1] == output.shape[:-1]
    if is_step and read.dtype == output.dtype == first.dtype:
        narrow = _narrow(read, first, shares)
        output.view(-1, output.shape[-1]).addmm_(_flat(narrow), second.T, alpha=scale)
        return output
    return added_to(output, low_rank(read.to(first.dtype), first, second, shares), scale=scale)


def low_rank(
    read: Float[Tensor, "..."],
    first: Float[Tensor, "rank inputs"],
    second: Float[Tensor, "outputs rank"],
    shares: Shares,
) -> Float[Tensor, "..."]:
    """Give ``second (share * first x)`` of each row; a row's own rows (beams, or tokens) are neighbours."""
    if shares.taught is not None and torch.is_grad_enabled():
        with without_autocast(read.device):
            product: Tensor = _Taught.apply(read, first, second, shares.read, shares.taught)  # type: ignore[no-untyped-call]
        return product
    return functional.linear(_narrow(read, first, shares), second)


def _narrow(
    read: Float[Tensor, "... inputs"], first: Float[Tensor, "rank inputs"], shares: Shares
) -> Float[Tensor, "... rank"]:
    narrow = functional.linear(read, first)
    return narrow if shares.read is None else _shared(narrow, shares.read)


class _Taught(Function):
    """The same product, whose gradients reach a column's weights from the rows alone that are to teach it."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's context takes any attribute)
        read: Tensor,
        first: Tensor,
        second: Tensor,
        through: Tensor,
        taught: Tensor,
    ) -> Tensor:
        narrow = functional.linear(read, first)
        ctx.save_for_backward(read, first, second, through, taught, narrow)
        return functional.linear(_shared(narrow, through), second)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        read, first, second, through, taught, narrow = ctx.saved_tensors
        with without_autocast(read.device):
            back = gradient @ second
            of_first = _flat(_shared(back, taught)).T @ _flat(read)
            of_second = _flat(gradient).T @ _flat(_shared(narrow, taught))
            return _shared(back, through) @ first, of_first, of_second, None, None


def _shared(narrow: Float[Tensor, "..."], share: Float[Tensor, "rows rank"]) -> Float[Tensor, "..."]:
    """Leave out the columns that a row does not go through."""
    rows, rank = share.shape
    return (narrow.reshape(rows, -1, rank) * share[:, None]).view_as(narrow)


def _flat(tensor: Float[Tensor, "... dim"]) -> Float[Tensor, "all dim"]:
    return tensor.reshape(-1, tensor.shape[-1])
