"""What a bench keeps of each step, as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from personaplug.errors import DataError
from personaplug.files import write_text


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 (what JSON knows, or a dataclass)
    """Write what JSON knows, or a dataclass."""
    write_text(path, json.dumps(plain(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read what :func:`write_json` has written of an object.

    Raises:
        DataError: Somebody else has written there.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"not JSON: {error}", path=path, hint="delete it, to have it made anew") from error
    if not isinstance(values, dict):
        raise DataError("not what a bench has written", path=path, hint="delete it, to have it made anew")
    return values


def plain(value: Any) -> Any:  # noqa: ANN401
    """Give a value as it comes back from JSON; days and paths become text."""
    content = asdict(value) if hasattr(value, "__dataclass_fields__") else value
    return json.loads(json.dumps(content, default=str))
