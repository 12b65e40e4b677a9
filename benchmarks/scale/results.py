"""Where the results lie, and how one is read."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "scale.json"


def read_rows(path: Path = RESULTS) -> dict[str, Any]:
    """Read all rows by their names."""
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return rows
