"""Of a low-rank path each row goes through its own columns, and each column learns of its own rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.plug.low_rank import Shares, low_rank, with_low_rank

RANK, INPUTS, OUTPUTS, BEAMS, TOKENS = 3, 4, 5, 2, 2


@st.composite
def cases(draw):
    """Draw rows, the columns that each goes through, and those of these that it teaches."""
    rows = draw(st.integers(1, 4))
    bits = st.lists(st.booleans(), min_size=rows * RANK, max_size=rows * RANK)
    through, taught = (torch.tensor(draw(bits)).view(rows, RANK).double() for _ in range(2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    shapes = (rows * BEAMS, TOKENS, INPUTS), (RANK, INPUTS), (OUTPUTS, RANK), (rows * BEAMS, TOKENS, OUTPUTS)
    drawn = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return *drawn, through, through * taught


def plainly(read, first, second, share):
    """Write out the product, row by row."""
    each = share.repeat_interleave(BEAMS, dim=0)
    return torch.stack([own @ first.T * columns @ second.T for own, columns in zip(read, each, strict=True)])


@given(cases())
def test_a_row_goes_through_its_own_columns(case):
    read, first, second, _, through, taught = case
    for shares in (Shares(through), Shares(through, taught)):
        torch.testing.assert_close(low_rank(read, first, second, shares), plainly(read, first, second, through))
    whole = torch.ones_like(through)
    torch.testing.assert_close(low_rank(read, first, second, Shares()), plainly(read, first, second, whole))


@given(cases(), st.integers(0, 2), st.booleans(), st.booleans())
def test_a_product_is_added_to_the_last_tokens_and_where_no_gradients_are_wanted_in_place(case, more, narrowed, whole):
    read, first, second, wanted, through, _ = case
    made = torch.cat([wanted.new_ones(len(wanted), more, OUTPUTS), wanted], dim=1)
    shares = Shares() if whole else Shares(through)
    path = {"first": first, "second": second, "shares": shares, "scale": 0.5}
    made = made.float() if narrowed else made
    right = made.clone().double()
    right[:, more:] += 0.5 * plainly(read, first, second, torch.ones_like(through) if whole else through)
    with_gradients = with_low_rank(made, read, **path)
    torch.testing.assert_close(with_gradients, right.to(made.dtype))
    assert with_gradients is not made
    with torch.no_grad():
        in_place = with_low_rank(made, read, **path)
    torch.testing.assert_close(in_place, right.to(made.dtype))
    assert in_place.data_ptr() == made.data_ptr()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shares", [Shares(), Shares(torch.ones(3, RANK))], ids=["all columns", "each row its own"])
def test_a_step_of_a_generation_is_one_operation_and_alike_whatever_the_other_rows_are(shares, precision, monkeypatch):
    monkeypatch.setattr("personaplug.plug.low_rank.added_to", None)
    torch.manual_seed(0)
    shapes = (3, 1, 64), (RANK, 64), (96, RANK), (3, 1, 96)
    read, first, second, made = (torch.randn(shape).to(precision) for shape in shapes)
    path = {"first": first, "second": second, "scale": 0.5}
    shares = Shares(shares.read.to(precision)) if shares.read is not None else shares
    with torch.no_grad():
        found = with_low_rank(made.clone(), read, shares=shares, **path)
        assert torch.equal(found, with_low_rank(made.clone(), read, shares=Shares(), **path))
    assert not torch.equal(found, made)


@given(cases())
def test_a_column_learns_of_its_own_rows_and_what_is_read_of_all_columns(case):
    *weights, wanted, through, taught = case
    read, first, second = (each.requires_grad_() for each in weights)
    found = torch.autograd.grad((low_rank(read, first, second, Shares(through, taught)) * wanted).sum(), weights)
    of_read = torch.autograd.grad((plainly(read, first, second, through) * wanted).sum(), read)
    of_columns = torch.autograd.grad((plainly(read, first, second, taught) * wanted).sum(), (first, second))
    for got, right in zip(found, (*of_read, *of_columns), strict=True):
        torch.testing.assert_close(got, right)


def test_a_callers_autocast_changes_neither_product_nor_gradients():
    torch.manual_seed(0)
    weights = [torch.randn(shape, requires_grad=True) for shape in ((2, TOKENS, INPUTS), (2, INPUTS), (OUTPUTS, 2))]
    shares = Shares(torch.ones(2, 2), torch.eye(2))

    def made():
        product = low_rank(*weights, shares)
        return product, *torch.autograd.grad(product.sum(), weights)

    plain = made()
    with torch.autocast("cpu", torch.bfloat16):
        again = made()
    for one, other in zip(plain, again, strict=True):
        assert torch.equal(one, other)
