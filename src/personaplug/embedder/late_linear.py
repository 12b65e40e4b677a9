"""A Linear the gradient of whose weight is made last, when those of the history no longer need their room.

The second Linear's weight is the embedder's largest, and autograd would make its gradient first, beside all that the
items' gradients are made of. What takes part in a pass first has its turn last on the way back: so the weight takes
part before any item is read, as a zero that is added to what comes out in the end.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional


class LateLinear:
    """One pass of a Linear, begun before its input is known: the same values, the same gradients, less memory.

    Args:
        linear: The Linear.
        shape: Of what will come out.
    """

    def __init__(self, linear: nn.Linear, shape: tuple[int, ...]) -> None:
        self._linear = linear
        self._read: list[Tensor] = []
        self._zero: Tensor = _Weight.apply(linear.weight, shape, self._read)  # type: ignore[no-untyped-call]

    def __call__(self, inputs: Float[Tensor, "*rows in_dim"]) -> Float[Tensor, "*rows out_dim"]:
        """Give what the Linear makes of its input."""
        self._read.append(inputs.detach())
        made = functional.linear(inputs, self._linear.weight.detach(), self._linear.bias)
        return made + self._zero.to(made.dtype)


class _Weight(Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's context takes any attribute)
        weight: Tensor,
        shape: tuple[int, ...],
        read: list[Tensor],
    ) -> Tensor:
        ctx.read = read
        return weight.new_zeros(()).expand(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (inputs,) = ctx.read
        return gradient.flatten(0, -2).T @ inputs.to(gradient.dtype).flatten(0, -2), None, None
