"""How a crowd's figures grow: laws from the two smallest sizes, held against larger ones, then drawn on."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log10
from typing import Any

from benchmarks.scale.zipf import EXPONENT
from personaplug.planning.memory import hit_rate

FURTHER = 10_000_000
"""What was not filled; whatever is said of it is drawn on from smaller ones."""
LAWS = {"file_mb": "straight", "cpu_p50_ms": "by decade", "cpu_p99_ms": "by decade"}
"""Bytes grow with the users; a fetch goes down a tree whose height grows with the logarithm of their number."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One figure at several sizes.

    Attributes:
        measured: By users.
        expected: By the law of the two smallest, for larger ones and for :data:`FURTHER`.
    """

    measured: Mapping[int, float]
    expected: Mapping[int, float]

    @property
    def off_by(self) -> float:
        """Say how far the largest lies from the law, as a share of what the law expects."""
        largest = max(self.measured)
        return self.measured[largest] / self.expected[largest] - 1


def growth(rows: Mapping[str, Any], figure: str) -> Growth:
    """Hold a figure against its law."""
    measured = {users: _figure(row, figure) for users, row in crowds(rows).items()}
    first, second, *larger = sorted(measured)
    scale = log10 if LAWS[figure] == "by decade" else float
    slope = (measured[second] - measured[first]) / (scale(second) - scale(first))
    expected = {users: measured[first] + slope * (scale(users) - scale(first)) for users in (*larger, FURTHER)}
    return Growth(measured, expected)


def hits(rows: Mapping[str, Any], *, kept: float | None = None, between: int | None = None) -> Growth:
    """Hold what memory finds against Che's approximation, which nothing was fitted to.

    Args:
        rows: The results.
        kept: Share of the users for whom memory has room; or
        between: requests from one change of the store to the next.
    """
    name = f"hits, kept {kept:.0%}" if kept else f"hits, changed {between}"
    measured = {users: float(row["details"][name]) for users, row in crowds(rows).items()}
    expected = {users: expected_hits(users, kept=kept, between=between) for users in (*measured, FURTHER)}
    return Growth(measured, expected)


def expected_hits(users: int, *, kept: float | None = None, between: int | None = None) -> float:
    """Say what the law expects memory to find."""
    room = users * kept if kept else users
    return hit_rate(users=users, skew=EXPONENT, room=room, between=between or inf)


def crowds(rows: Mapping[str, Any]) -> dict[int, Any]:
    """Pick the rows of crowds, by their users."""
    found = [row for name, row in rows.items() if name.startswith("crowd of")]
    return dict(sorted((int(row["details"]["users"]), row) for row in found))


def _figure(row: Mapping[str, Any], figure: str) -> float:
    details = row["details"]
    return float(details["bytes_a_user"] * details["users"] / 1e6 if figure == "file_mb" else details[figure])
