"""Do pieces of work on all threads that torch may use, each on one.

A small model's matrices gain little from a second thread, and most of what lies between its products gains nothing;
whole batches side by side keep every core busy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Give what ``work`` makes of each piece, in their order; of one piece alone, with all threads.

    What torch keeps for each thread, such as the inference mode, is the work's to set.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(pieces))
    if workers < 2:
        yield from map(work, pieces)
        return
    begun = Barrier(workers + 1)
    with ThreadPoolExecutor(workers, initializer=_take_one_thread, initargs=(begun,)) as pool:
        results = pool.map(work, pieces)
        begun.wait()
        # What a worker chose became torch's default for threads that begin later: they get all again.
        torch.set_num_threads(threads)
        yield from results


def _take_one_thread(begun: Barrier) -> None:
    torch.get_num_threads()  # A thread takes the default over when it first asks: not after the next line.
    torch.set_num_threads(1)
    begun.wait()
