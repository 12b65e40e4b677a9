"""Files that appear whole or not at all."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """Write a file; a process that is killed leaves the old one, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 (what JSON knows, or a dataclass)
    """Write what JSON knows, or a dataclass."""
    write_whole(path, json.dumps(plain(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:  # noqa: ANN401
    """Give a value as it comes back from JSON; days and paths become text."""
    content = asdict(value) if hasattr(value, "__dataclass_fields__") else value
    return json.loads(json.dumps(content, default=str))
