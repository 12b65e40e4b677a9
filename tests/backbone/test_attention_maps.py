"""What adapters add to the maps of a language model's attention."""

import pytest
import torch
from torch import nn

from personaplug.backbone.attention_maps import added_to


class Packed(torch.autograd.Function):
    """As a map of a quantized model computes: what it gives is a view, made inside the function."""

    @staticmethod
    def forward(ctx, inputs, weight):
        ctx.save_for_backward(weight)
        return (inputs.flatten(0, 1) @ weight.T).reshape(*inputs.shape[:-1], -1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient @ ctx.saved_tensors[0], None


class PackedLinear(nn.Linear):
    def forward(self, inputs):
        return Packed.apply(inputs, self.weight)


@pytest.mark.parametrize("kind", [nn.Linear, PackedLinear])
@pytest.mark.parametrize("columns", [1, 3, 5])
@pytest.mark.parametrize("trains", [True, False])
def test_what_is_added_stands_at_the_last_columns_and_its_gradient_is_a_number(kind, columns, trains):
    linear = kind(4, 6, bias=False).requires_grad_(requires_grad=False)
    inputs = torch.randn(2, 5, 4, requires_grad=trains)
    added = torch.randn(2, columns, 6, requires_grad=trains)
    with torch.set_grad_enabled(trains):
        alone = inputs @ linear.weight.T
        whole = added_to(linear(inputs), added, scale=2.0)
    assert torch.equal(whole[:, :-columns], linear(inputs)[:, :-columns])
    torch.testing.assert_close(whole[:, -columns:], alone[:, -columns:] + 2 * added)
    if trains:
        whole.sum().backward()
        assert torch.equal(added.grad, torch.full_like(added, 2.0))
        torch.testing.assert_close(inputs.grad, linear.weight.sum(dim=0).expand_as(inputs))


def test_an_answer_is_added_to_in_place():
    with torch.inference_mode():
        output = torch.zeros(1, 2, 3)
        assert added_to(output, torch.ones(1, 1, 3)).data_ptr() == output.data_ptr()
        assert output.sum() == 3
