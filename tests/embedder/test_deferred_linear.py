import pytest
import torch
from torch import nn

from personaplug.embedder.deferred_linear import LateLinear


def gradients(outer, inner, inputs, *, late):
    """Pass through both Linears, and give what comes out, all gradients, and in what order the weights had theirs."""
    order = []
    hooks = [
        linear.weight.register_hook(lambda _, name=name: order.append(name))
        for name, linear in {"outer": outer, "inner": inner}.items()
    ]
    inputs = inputs.clone().requires_grad_()
    last = LateLinear(outer, (*inputs.shape[:-1], outer.out_features)) if late else outer
    made = last(inner(inputs).tanh())
    made.square().sum().backward()
    found = {"inputs": inputs.grad} | {
        f"{name}.{part}": weight.grad
        for name, linear in {"outer": outer, "inner": inner}.items()
        for part, weight in linear.named_parameters()
    }
    for hook in hooks:
        hook.remove()
    for linear in (outer, inner):
        linear.zero_grad()
    return made.detach(), found, order


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("rows", [(), (5,), (3, 4), (0, 4)])
def test_it_is_the_linear_but_for_when_its_weight_has_its_gradient(rows, has_bias):
    torch.manual_seed(0)
    inner, outer = nn.Linear(6, 7).double(), nn.Linear(7, 2, bias=has_bias).double()
    inputs = torch.randn(*rows, 6, dtype=torch.float64)
    made, found, order = gradients(outer, inner, inputs, late=True)
    usual, expected, usual_order = gradients(outer, inner, inputs, late=False)
    torch.testing.assert_close(made, usual)
    torch.testing.assert_close(found, expected)
    assert (order, usual_order) == (["inner", "outer"], ["outer", "inner"])


def test_a_frozen_linear_stays_so():
    outer = nn.Linear(3, 2).requires_grad_(requires_grad=False)
    inputs = torch.randn(4, 3, requires_grad=True)
    LateLinear(outer, (4, 2))(inputs).sum().backward()
    assert outer.weight.grad is None
    torch.testing.assert_close(inputs.grad, outer.weight.sum(dim=0).expand(4, 3))


def test_an_input_that_is_changed_in_place_is_an_error_as_anywhere_in_autograd():
    inputs = torch.randn(4, 3)
    made = LateLinear(nn.Linear(3, 2), (4, 2))(inputs)
    inputs.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        made.sum().backward()


def test_another_shape_than_was_said_is_an_error():
    with pytest.raises(ValueError, match=r"made \(4, 2\), where \(5, 4, 2\) was said"):
        LateLinear(nn.Linear(3, 2), (5, 4, 2))(torch.randn(4, 3))


def test_a_pass_takes_one_input():
    late = LateLinear(nn.Linear(3, 2), (4, 2))
    late(torch.randn(4, 3))
    with pytest.raises(RuntimeError, match="begin another"):
        late(torch.randn(4, 3))


def test_hooks_are_called_where_no_gradient_is_wanted():
    outer, called = nn.Linear(3, 2), []
    outer.register_forward_hook(lambda *_: called.append("hook"))
    with torch.no_grad():
        LateLinear(outer, (4, 2))(torch.randn(4, 3))
    assert called == ["hook"]
