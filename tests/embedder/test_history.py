import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.history import HistoryBatch
from tests.embedder.histories import DIM, VIEWS, few, random_histories


@few
@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_packing_keeps_every_history_and_marks_the_rest_as_padding(counts, seed):
    histories = random_histories(counts, seed=seed)
    batch = HistoryBatch.pack(histories)
    assert batch.mask.sum(dim=1).tolist() == counts
    assert batch.is_empty.tolist() == [count == 0 for count in counts]
    for row, history in enumerate(histories):
        assert torch.equal(batch.vectors[row][batch.mask[row]], history.vectors)
        assert torch.equal(batch.ages[row][batch.mask[row]], history.ages)


def test_the_keys_are_the_first_view():
    (history,) = random_histories([3], seed=0)
    assert torch.equal(HistoryBatch.pack([history]).keys[0], history.vectors[:, 0])


def test_a_batch_whose_parts_disagree_is_refused():
    with pytest.raises((TypeError, ValueError)):
        HistoryBatch(torch.zeros(2, 3, VIEWS, DIM), torch.zeros(2, 4), torch.ones(2, 3, dtype=torch.bool))


def test_moving_a_batch_changes_no_number():
    batch = HistoryBatch.pack(random_histories([2, 0], seed=1))
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.vectors, batch.vectors)
    assert torch.equal(moved.ages, batch.ages)
    assert torch.equal(moved.mask, batch.mask)
