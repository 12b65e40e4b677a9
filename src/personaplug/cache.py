"""The folder in which personaplug keeps what can be fetched or made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Name the folder, which may not be there yet: ``PERSONAPLUG_CACHE``, else ``personaplug`` in the user's cache."""
    if own := os.environ.get("PERSONAPLUG_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "personaplug"


def converted_folder() -> Path:
    """Name the folder of converted GGUF files, each a folder whose name begins with its file's SHA-256."""
    return cache_folder() / "gguf"
