"""Adapters on disk: a folder a user, whole or not there, with a record of what it was made from and what it cost."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from personaplug.config import from_mapping
from personaplug.embedder.checkpoint import read_weights
from personaplug.errors import ConfigError, DataError
from personaplug.rivals.user_lora.adapters import ADAPTER_FILE, Weights

_RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """What one user's adapter is.

    Attributes:
        user_id: Whose.
        items: History items it was trained on; of none there is no adapter.
        until: Time of the latest of them, ISO 8601; empty where there are none.
        content: Hash of all that decides its weights: items in the words of their prompts, and settings.
        steps: Of training.
        seconds: Wall time of training.
        bytes: On disk, without this record.
    """

    user_id: str
    items: int
    until: str
    content: str
    steps: int = 0
    seconds: float = 0.0
    bytes: int = 0

    @property
    def latest(self) -> datetime | None:
        """Time of the latest item that was seen; None where none was."""
        return datetime.fromisoformat(self.until) if self.until else None


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """One folder a user below ``path``, named by a hash of the user's id."""

    path: Path

    def folder_of(self, user_id: str) -> Path:
        """Say where a user's adapter is, or would be: deleting that folder forgets it."""
        return self.path / hashlib.sha256(user_id.encode("utf-8", errors="surrogatepass")).hexdigest()[:32]

    def record(self, user_id: str) -> AdapterRecord | None:
        """Read what a user's adapter is; None for a user without.

        Raises:
            DataError: Somebody has written into the record.
        """
        path = self.folder_of(user_id) / _RECORD
        try:
            return from_mapping(AdapterRecord, json.loads(path.read_bytes()), where="the record")
        except FileNotFoundError:
            return None
        except (ConfigError, json.JSONDecodeError, UnicodeDecodeError, RecursionError, AttributeError) as error:
            raise DataError(
                f"not an adapter's record: {error}", path=path, hint="delete its folder, train anew"
            ) from error

    def weights(self, user_id: str) -> Weights:
        """Read a user's adapter.

        Raises:
            ConfigError: There is none, its file is broken, or it holds what is no number.
        """
        try:
            return read_weights(self.folder_of(user_id) / ADAPTER_FILE)
        except ConfigError as error:
            raise ConfigError(f"no adapter: {error}", hint="delete its folder and train with --resume") from error

    def write(self, record: AdapterRecord, save: Callable[[Path], None] | None = None) -> AdapterRecord:
        """Write a user's adapter in the place of an older one.

        The folder is filled under another name: a process that is killed leaves the old one, or none, but never a part.

        Args:
            record: What it is, but for its size.
            save: Writes the adapter's files into a folder; None where there is no adapter.

        Returns:
            The record with its size.
        """
        unfinished = self.path / f".{self.folder_of(record.user_id).name}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir(parents=True)
            if save:
                save(unfinished)
            record = replace(record, bytes=sum(path.stat().st_size for path in unfinished.iterdir()))
            (unfinished / _RECORD).write_text(json.dumps(asdict(record)), encoding="utf-8")
            shutil.rmtree(self.folder_of(record.user_id), ignore_errors=True)
            unfinished.rename(self.folder_of(record.user_id))
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return record

    def discard_unfinished(self) -> None:
        """Delete what killed processes left; not for while another process writes here."""
        for path in self.path.glob(".*"):
            shutil.rmtree(path)
