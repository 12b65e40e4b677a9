"""A Linear the gradient of whose weight is made last, when those of the history no longer need their room.

The second Linear's weight is the embedder's largest, and autograd would make its gradient first, beside all that the
items' gradients are made of. What takes part in a pass first has its turn last on the way back: so the weight takes
part before any item is read, as a zero that is added to what comes out in the end. Hooks of the Linear are called
where its weight wants no gradient, and only there.
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
        self._read: list[tuple[Tensor, int]] = []
        self._zero: Tensor = _Weight.apply(linear.weight, shape, self._read)  # type: ignore[no-untyped-call]

    def __call__(self, inputs: Float[Tensor, "*rows in_dim"]) -> Float[Tensor, "*rows out_dim"]:
        """Give what the Linear makes of its input, once.

        Raises:
            ValueError: What comes out has another shape than was said.
            RuntimeError: The pass has had its input.
        """
        if not self._zero.requires_grad:
            usual: Tensor = self._linear(inputs)
            return usual
        if self._read:
            raise RuntimeError("a pass takes one input: begin another")
        made = functional.linear(inputs, self._linear.weight.detach(), self._linear.bias)
        if made.shape != self._zero.shape:
            raise ValueError(f"made {tuple(made.shape)}, where {tuple(self._zero.shape)} was said to come out")
        self._read.append((inputs.detach(), inputs._version))  # autograd's own count of changes in place
        return made + self._zero.to(made.dtype)


class _Weight(Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's context takes any attribute)
        weight: Tensor,
        shape: tuple[int, ...],
        read: list[tuple[Tensor, int]],
    ) -> Tensor:
        ctx.read = read
        return weight.new_zeros(()).expand(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        ((inputs, version),) = ctx.read
        if inputs._version != version:
            raise RuntimeError("what the Linear read was changed in place before its weight had a gradient")
        rows = inputs.to(gradient.dtype).reshape(-1, inputs.shape[-1])
        return gradient.reshape(-1, gradient.shape[-1]).T @ rows, None, None
