"""What histories have in common, as training saw it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.running_mean import SHARE, RunningMean
from tests.embedder.histories import few

DIM, PLACES = 4, 3


def batches(count, *, rows, seed):
    """So many batches of rows, each of whose places is there or not."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.randn(rows, PLACES, DIM, generator=draw), torch.rand(rows, PLACES, generator=draw) < 0.5


@few
@given(count=st.integers(1, 6), rows=st.integers(1, 4), seed=st.integers(0, 99))
def test_each_place_has_the_mean_of_its_batches_means_whatever_stands_where_nothing_is(count, rows, seed):
    running, means = RunningMean(DIM, places=(PLACES,)), [[] for _ in range(PLACES)]
    for vectors, is_there in batches(count, rows=rows, seed=seed):
        made = running(torch.where(is_there[..., None], vectors, torch.nan), is_there)
        for place, seen in enumerate(means):
            if is_there[:, place].any():
                seen.append(vectors[is_there[:, place], place].mean(dim=0))
    for place, seen in enumerate(means):
        expected = torch.stack(seen).mean(dim=0) if seen else torch.zeros(DIM)
        torch.testing.assert_close(made[place], expected, atol=1e-5, rtol=1e-5)
    assert running.batches.tolist() == [len(seen) for seen in means]


def test_after_many_batches_one_more_moves_the_mean_by_its_share():
    running, is_there = RunningMean(DIM), torch.tensor([True])
    for _ in range(100):
        running(torch.zeros(1, DIM), is_there)
    torch.testing.assert_close(running(torch.ones(1, DIM), is_there), torch.full((DIM,), SHARE))


def test_an_answer_in_training_moves_nothing_and_what_was_given_stays_as_it_was():
    running, is_there = RunningMean(DIM), torch.tensor([True])
    first = running(torch.ones(1, DIM), is_there)
    with torch.no_grad():
        running(torch.zeros(1, DIM), is_there)
    running.eval()(torch.zeros(1, DIM), is_there)
    assert torch.equal(running.mean, torch.ones(DIM))
    running.train()(torch.zeros(1, DIM), is_there)
    assert torch.equal(first, torch.ones(DIM))
    assert torch.equal(running.mean, torch.full((DIM,), 0.5))
