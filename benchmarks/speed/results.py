"""What was measured, from the files of results, by processor or card."""

import json
import re
from collections.abc import Mapping
from typing import Any

from benchmarks.speed.row import RESULTS

Kept = Mapping[str, Any]
"""A row as a file of results has it."""

Rows = Mapping[str, Kept]
"""Rows by name."""

_CARD = re.compile(r"gpu/.* on (.+), batch")
_TRADE_WORDS = re.compile(r"\(R\)|\(TM\)| Processor")


def read_results() -> Mapping[str, Rows]:
    """Read the rows of every file, folders below included, by the machine that each was measured on.

    Toy sizes are no results. A row that was measured twice on one machine is the newer one. The name of a row of a GPU
    is without the card's, which is the machine.
    """
    kept = [row for file in sorted(RESULTS.rglob("*.json")) for row in json.loads(file.read_text("utf-8")).values()]
    results: dict[str, dict[str, Kept]] = {}
    for row in sorted(kept, key=lambda row: str(row["made"]["time"])):
        if not row["made"]["is_quick"]:
            machine = machine_of(row)
            results.setdefault(machine, {})[row["name"].replace(f" on {machine}", "")] = row
    return dict(sorted(results.items()))


def machine_of(row: Kept) -> str:
    """Name the card that a row was measured on, else the processor."""
    if card := _CARD.match(row["name"]):
        return card[1]
    machine: str = row["made"]["machine"]
    return _TRADE_WORDS.sub("", machine.rpartition(", ")[2])
