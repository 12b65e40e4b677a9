import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.backbone.tokens import pad_rows

DIM = 3
few = settings(max_examples=25)
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)
SIDES = st.sampled_from(["left", "right"])


def rows_of(lengths):
    """Rows in which every number is another, and none is zero."""
    start = 1.0
    for length in lengths:
        yield start + torch.arange(length * DIM, dtype=torch.float32).reshape(length, DIM)
        start += length * DIM


@few
@given(lengths=LENGTHS, side=SIDES)
def test_padding_keeps_every_row_and_stands_on_its_side(lengths, side):
    rows = list(rows_of(lengths))
    padded = pad_rows(rows, side=side)
    assert all(torch.equal(own, row) for own, row in zip(padded.rows, rows, strict=True))
    assert not padded.embeds[~padded.mask].any()
    edge = padded.mask[:, -1] if side == "left" else padded.mask[:, 0]
    assert edge.all()


@few
@given(lengths=LENGTHS, side=SIDES, count=st.integers(0, 3), data=st.data())
def test_a_prefix_stands_after_the_leading_tokens_and_padding_stays_on_its_side(lengths, side, count, data):
    lead = data.draw(st.integers(0, min(lengths)))
    rows = list(rows_of(lengths))
    prefix = -1.0 - torch.arange(len(rows) * count * DIM, dtype=torch.float32).reshape(len(rows), count, DIM)
    result = pad_rows(rows, side=side, lead=lead).with_prefix(prefix)
    for own, row, ahead in zip(result.rows, rows, prefix, strict=True):
        assert own.tolist() == [*row[:lead].tolist(), *ahead.tolist(), *row[lead:].tolist()]
    assert (result.side, result.lead) == (side, lead)
    assert (result.mask[:, -1] if side == "left" else result.mask[:, 0]).all()


@few
@given(lengths=LENGTHS, side=SIDES, count=st.integers(0, 3))
def test_vectors_after_the_input_are_the_last_of_every_row_and_are_counted(lengths, side, count):
    rows = list(rows_of(lengths))
    vectors = -1.0 - torch.arange(len(rows) * count * DIM, dtype=torch.float32).reshape(len(rows), count, DIM)
    result = pad_rows(rows, side=side, lead=1).with_prefix(vectors, place="after")
    for own, row, behind in zip(result.rows, rows, vectors, strict=True):
        assert own.tolist() == [*row.tolist(), *behind.tolist()]
    assert (result.side, result.lead, result.tail) == (side, 1, count)


@few
@given(
    lengths=LENGTHS.map(lambda found: [each + 2 for each in found]),
    side=SIDES,
    closing=st.integers(1, 3),
    data=st.data(),
)
def test_vectors_inside_stand_before_the_closing_tokens_which_are_counted_with_them(lengths, side, closing, data):
    count = data.draw(st.integers(0, 3))
    rows = list(rows_of(lengths))
    vectors = -1.0 - torch.arange(len(rows) * count * DIM, dtype=torch.float32).reshape(len(rows), count, DIM)
    result = pad_rows(rows, side=side).with_prefix(vectors, place="inside", closing=closing)
    for own, row, within in zip(result.rows, rows, vectors, strict=True):
        assert own.tolist() == [*row[:-closing].tolist(), *within.tolist(), *row[-closing:].tolist()]
    assert (result.side, result.tail) == (side, count + closing)


PLACES = st.sampled_from(["before", "inside", "after"])


@few
@given(
    lengths=LENGTHS.map(lambda found: [each + 1 for each in found]),
    side=SIDES,
    place=PLACES,
    count=st.integers(1, 3),
    data=st.data(),
)
def test_an_input_is_read_as_if_vectors_that_are_not_there_had_not_been_given(lengths, side, place, count, data):
    rows = list(rows_of(lengths))
    vectors = -1.0 - torch.arange(len(rows) * count * DIM, dtype=torch.float32).reshape(len(rows), count, DIM)
    places = st.lists(st.booleans(), min_size=count, max_size=count)
    there = torch.tensor([data.draw(places) for _ in rows])
    result, whole = (
        pad_rows(rows, side=side, lead=1).with_prefix(vectors, place=place, is_there=each, closing=1)
        for each in (there, None)
    )
    for own, row, made, real in zip(result.rows, rows, vectors, there, strict=True):
        at = {"before": 1, "inside": len(row) - 1, "after": len(row)}[place]
        assert own.tolist() == [*row[:at].tolist(), *made[real].tolist(), *row[at:].tolist()]
    assert not result.embeds[~result.mask].any()
    is_bare = place == "after" and side == "left" and not there.any(dim=1).all()
    assert (result.embeds.shape, result.tail) == (whole.embeds.shape, whole.tail + is_bare)
    assert (result.mask[:, -1] if side == "left" else result.mask[:, 0]).all()
    if place != "before" and side == "left":  # what may be read ahead is the same, whoever has vectors behind it
        known = result.embeds.shape[1] - count - 1
        assert torch.equal(result.embeds[:, :known], whole.embeds[:, :known])


@few
@given(lengths=LENGTHS, side=SIDES, count=st.integers(1, 3), data=st.data())
def test_rows_put_side_by_side_again_are_as_they_were(lengths, side, count, data):
    places = st.lists(st.booleans(), min_size=count, max_size=count)
    there = torch.tensor([data.draw(places) for _ in lengths])
    whole = pad_rows(list(rows_of(lengths)), side=side).with_prefix(
        torch.ones(len(lengths), count, DIM), place="after", is_there=there, closing=1
    )
    embeds, masks = zip(*(whole.row(at) for at in range(len(lengths))), strict=True)
    again = pad_rows(embeds, side=side, masks=masks)
    for one, other in zip(again.rows, whole.rows, strict=True):
        assert torch.equal(one, other)
    if side == "left":
        assert torch.equal(again.mask, whole.mask[:, -again.mask.shape[1] :])


@few
@given(lengths=LENGTHS, side=SIDES)
def test_places_are_counted_without_padding(lengths, side):
    padded = pad_rows(list(rows_of(lengths)), side=side)
    for places, mask, length in zip(padded.position_ids, padded.mask, lengths, strict=True):
        assert places[mask].tolist() == list(range(length))
        assert (places >= 0).all()


def test_a_prefix_takes_the_precision_of_the_embeddings():
    inputs = pad_rows([torch.ones(2, DIM, dtype=torch.bfloat16)], side="left")
    assert inputs.with_prefix(torch.ones(1, 1, DIM)).embeds.dtype == torch.bfloat16
