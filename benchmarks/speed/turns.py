"""Time two ways of doing one thing in turn, so that whatever else the machine does falls on both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Time:
    """What a turn took, in seconds of the clock and of the processor, all threads together."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Turns:
    """What the turns took.

    Attributes:
        ours: Wall seconds of each of our turns.
        theirs: Wall seconds of each of the opponent's, the one beside ours.
        cpu: The opponent's CPU seconds over ours, pair by pair: nearly blind to other processes.
    """

    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How many times as long the opponent took, pair by pair."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def slowdowns(self) -> list[float]:
        """How many times as long ours took, pair by pair."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def details(self, *, per: int = 1, is_slowdown: bool = False) -> dict[str, float]:
        """Say what a table or a reader may want: medians and spread.

        Args:
            per: Seconds are for each of so many things.
            is_slowdown: Whether the figure is how many times as long ours took: then all ratios are ours over theirs.
        """
        ratios = self.slowdowns if is_slowdown else self.ratios
        return {
            "pairs": len(self.ours),
            "our_seconds": median(self.ours) / per,
            "their_seconds": median(self.theirs) / per,
            "lowest_ratio": min(ratios),
            "highest_ratio": max(ratios),
            "cpu_ratio": median(1 / each if is_slowdown else each for each in self.cpu),
        }


def in_turn(ours: Work, theirs: Work, *, pairs: int) -> Turns:
    """Do ours, theirs, theirs, ours, ours, theirs, ... after one unmeasured turn of each."""
    ours()
    theirs()
    turns = [_pair(ours, theirs, is_ours_first=number % 2 == 0) for number in range(pairs)]
    return Turns(
        ours=tuple(mine.wall for mine, _ in turns),
        theirs=tuple(other.wall for _, other in turns),
        cpu=tuple(other.cpu / mine.cpu for mine, other in turns),
    )


def _pair(ours: Work, theirs: Work, *, is_ours_first: bool) -> tuple[Time, Time]:
    if is_ours_first:
        return timed(ours), timed(theirs)
    other = timed(theirs)
    return timed(ours), other


def timed(work: Work) -> Time:
    """Do work once."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Time(time.perf_counter() - wall, time.process_time() - cpu)
