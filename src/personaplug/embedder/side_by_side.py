"""Do pieces of work on all threads that torch may use, each on one.

A small model's matrices gain little from a second thread, and most of what lies between its products gains nothing;
whole batches side by side keep every core busy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Give what ``work`` makes of each piece, in their order; of one piece alone, with all threads.

    What torch keeps for each thread, such as the inference mode, is the work's to set.
    """
    threads = torch.get_num_threads()
    if min(threads, len(pieces)) < 2:
        yield from map(work, pieces)
        return
    try:
        with ThreadPoolExecutor(min(threads, len(pieces)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, pieces)
    finally:
        torch.set_num_threads(threads)  # A worker's number is also that of every thread begun from now on.
