"""Sum each user's items behind the projector's first Linear: ``sum_i w_i GELU(A x_i + b)``.

Some users at a time: activations and their gradients are made for a few, and take the room of a few. Of an item the
way back keeps what the Linear reads and what it makes, the latter of all items in one block: allocators give large
blocks back to the system when they are freed. For the same reason all groups of a pass write into one block of room:
fresh ones would be paid for page by page. The gradients are written out; autograd would hold several such blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from personaplug.embedder.autocast import without_autocast

AT_ONCE = 512
"""Items projected together, and the rest of the last user's: enough for fast products, few enough for a cache."""


def weighted_sums(
    weights: Float[Tensor, "items personas"],
    values: Float[Tensor, "items width"],
    *,
    linear: nn.Linear,
    counts: Sequence[int],
) -> Float[Tensor, "users personas llm_dim"]:
    """Sum the items of each user, in the precision of the values; zeros for a user without any.

    Args:
        weights: Of each item in each persona vector; the items of all users in a row.
        values: What the Linear reads of each item.
        linear: ``A`` and ``b``; where gradients are wanted its weights are used directly, past any hook.
        counts: How many items each user has.
    """
    weights = weights.to(values.dtype)
    trained = (weights, values, linear.weight, linear.bias)
    with without_autocast(values.device):
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in trained):
            sums: Tensor = _WeightedSums.apply(*trained, counts)  # type: ignore[no-untyped-call]
            return sums
        return torch.cat(
            [
                _sums(weights[group.rows], torch.ops.aten.gelu_(linear(values[group.rows])), counts=group.counts)
                for group in _groups(counts)
            ]
        )


class _WeightedSums(Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's context takes any attribute)
        weights: Tensor,
        values: Tensor,
        matrix: Tensor,
        bias: Tensor,
        counts: Sequence[int],
    ) -> Tensor:
        halfway, sums = values.new_empty(len(values), len(bias)), []
        room = _room(halfway, counts)
        for group in _groups(counts):
            made = torch.addmm(bias, values[group.rows], matrix.T, out=halfway[group.rows])
            memories = torch.ops.aten.gelu.out(made, out=room[: len(made)])
            sums.append(_sums(weights[group.rows], memories, counts=group.counts))
        ctx.counts = counts
        ctx.save_for_backward(weights, values, matrix, halfway)
        return torch.cat(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        weights, values, matrix, halfway = ctx.saved_tensors
        of_weights, of_matrix, of_bias = map(torch.zeros_like, (weights, matrix, matrix[:, 0]))
        of_values = torch.empty_like(values) if ctx.needs_input_grad[1] else None
        room = _room(halfway, ctx.counts)
        with without_autocast(values.device):
            for group in _groups(ctx.counts):
                rows = group.rows
                of_halfway = _back(
                    gradient[group.users],
                    weights[rows],
                    of_weights=of_weights[rows],
                    halfway=halfway[rows],
                    room=room,
                    counts=group.counts,
                )
                of_matrix.addmm_(of_halfway.T, values[rows])
                of_bias += of_halfway.sum(dim=0)
                if of_values is not None:
                    torch.mm(of_halfway, matrix, out=of_values[rows])
        return of_weights, of_values, of_matrix, of_bias, None


def _sums(weights: Tensor, memories: Tensor, *, counts: Sequence[int]) -> Tensor:
    both = zip(weights.split(counts), memories.split(counts), strict=True)
    return torch.stack([share.T @ own for share, own in both])


def _back(
    gradient: Tensor, weights: Tensor, *, of_weights: Tensor, halfway: Tensor, room: Tensor, counts: Sequence[int]
) -> Tensor:
    """Carry the gradient of :func:`_sums` back to the weights and, in the room, to what stands halfway."""
    room = room[: len(halfway)]
    torch.ops.aten.gelu.out(halfway, out=room)
    parts = (part.split(counts) for part in (weights, of_weights, room))
    for of_sum, share, of_share, own in zip(gradient, *parts, strict=True):
        torch.mm(own, of_sum.T, out=of_share)
        torch.mm(share, of_sum, out=own)  # The memories have been read: their gradient takes their place.
    torch.ops.aten.gelu_backward.grad_input(room, halfway, grad_input=room)
    return room


def _room(halfway: Tensor, counts: Sequence[int]) -> Tensor:
    """Make room for the memories of the largest group."""
    return torch.empty_like(halfway[: max(sum(group.counts) for group in _groups(counts))])


@dataclass(frozen=True, slots=True)
class _Group:
    """Users side by side, their items' rows, and how many each has."""

    users: slice
    rows: slice
    counts: Sequence[int]


def _groups(counts: Sequence[int]) -> Iterator[_Group]:
    """Cut a batch between users where enough items have come together."""
    start = first = items = 0
    for user, count in enumerate(counts, start=1):
        items += count
        if items >= AT_ONCE or user == len(counts):
            yield _Group(slice(start, user), slice(first, first + items), counts[start:user])
            start, first, items = user, first + items, 0
