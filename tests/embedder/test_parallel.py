import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaplug.embedder.parallel import side_by_side
from tests.embedder.histories import few


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@few
@given(pieces=st.lists(st.integers(), max_size=20), threads=st.integers(1, 4))
def test_results_come_in_the_order_of_the_pieces(pieces, threads):
    torch.set_num_threads(threads)
    assert list(side_by_side(lambda piece: (piece, piece + 1), pieces)) == [(piece, piece + 1) for piece in pieces]


def test_as_many_pieces_are_worked_on_at_once_as_torch_has_threads_each_on_one():
    torch.set_num_threads(3)
    together = threading.Barrier(3, timeout=10)

    def work(_):
        together.wait()  # passes only where three are here at once
        return torch.get_num_threads()

    assert list(side_by_side(work, range(6))) == [1] * 6


def test_a_piece_alone_has_all_threads():
    torch.set_num_threads(3)
    assert list(side_by_side(lambda _: torch.get_num_threads(), [0])) == [3]


@pytest.mark.parametrize("breaks", [False, True])
def test_afterwards_torch_has_its_threads_again_whatever_happened(breaks):
    def work(piece):
        if breaks:
            raise ValueError(piece)

    torch.set_num_threads(3)
    try:
        list(side_by_side(work, range(9)))
    except ValueError:
        assert breaks
    assert [torch.get_num_threads(), threads_of_a_new_thread()] == [3, 3]


def test_a_thread_that_begins_meanwhile_has_all_threads():
    torch.set_num_threads(3)
    assert list(side_by_side(lambda _: (sleep(0.1), threads_of_a_new_thread())[1], range(3))) == [3] * 3


def threads_of_a_new_thread():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()
