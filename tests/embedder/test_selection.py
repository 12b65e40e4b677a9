import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.history import History
from personaplug.embedder.selection import likest, selected
from tests.embedder.histories import few, pack, random_histories, random_history, random_queries

COUNTS = st.lists(st.integers(0, 7), min_size=1, max_size=5)
SEEDS = st.integers(0, 99)


def kept(histories, queries, *, count, by):
    """List the places of the items that are kept of each history."""
    mask = selected(pack(*histories), queries, count=count, by=by).mask
    return [row.nonzero()[:, 0].tolist() for row in mask]


@few
@given(counts=COUNTS, count=st.integers(1, 8), seed=SEEDS)
def test_the_latest_are_the_last_of_a_history(counts, count, seed):
    histories = random_histories(counts, seed=seed)
    found = kept(histories, random_queries(len(counts), seed=seed), count=count, by="latest")
    assert found == [list(range(length))[-count:] for length in counts]


@few
@given(counts=COUNTS, count=st.integers(1, 8), seed=SEEDS)
def test_the_most_similar_are_those_of_the_highest_cosines(counts, count, seed):
    histories, queries = random_histories(counts, seed=seed), random_queries(len(counts), seed=seed)
    for history, query, found in zip(
        histories, queries, kept(histories, queries, count=count, by="similar"), strict=True
    ):
        cosines = [float(query.double() @ key.double()) for key in history.vectors[:, 0]]
        best = sorted(range(len(cosines)), key=lambda place: -cosines[place])[:count]
        assert found == sorted(best)


def test_of_equally_similar_items_the_later_are_kept():
    one = random_history(1, seed=0)
    alike = History(one.vectors.expand(5, -1, -1), torch.arange(5.0).flip(0))
    assert kept([alike], random_queries(1, seed=0), count=2, by="similar") == [[3, 4]]


@pytest.mark.parametrize("by", ["latest", "similar"])
def test_zero_keeps_everything(by):
    histories = random_histories([3, 0, 7], seed=1)
    assert kept(histories, random_queries(3, seed=1), count=0, by=by) == [[0, 1, 2], [], [0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("junk", [9.0, float("nan"), float("inf")])
@pytest.mark.parametrize("by", ["latest", "similar"])
def test_padding_is_never_kept_whatever_stands_in_it(by, junk):
    batch = pack(*random_histories([1, 5], seed=2))
    batch.vectors[~batch.mask] = junk
    assert selected(batch, random_queries(2, seed=2), count=3, by=by).mask.sum(dim=1).tolist() == [1, 3]


@few
@given(counts=COUNTS, count=st.integers(1, 8), seed=SEEDS)
def test_the_likest_are_the_most_similar_alone_and_the_likest_of_all_stands_last(counts, count, seed):
    batch, queries = pack(*random_histories(counts, seed=seed)), random_queries(len(counts), seed=seed)
    whole, some = selected(batch, queries, count=count, by="similar"), likest(batch, queries, count=count)
    for row, query in enumerate(queries):
        expected, found = (each.ages[row][each.mask[row]] for each in (whole, some))
        assert found.sort().values.tolist() == expected.sort().values.tolist()
        if len(expected):
            best = (batch.keys[row] @ query).masked_fill(~batch.mask[row], -torch.inf).argmax()
            assert some.mask[row, -1]
            assert torch.equal(some.wording.vectors[row, -1], batch.wording.vectors[row, best])
