"""Where a log of Parquet lies beyond this machine's files: one file or a folder of them, wherever fsspec reads."""

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LogUrl:
    """An address such as ``s3://bucket/log.parquet`` or ``s3://bucket/log``, whose files are read in order of names.

    As text it has no password.

    Attributes:
        url: The address as fsspec takes it.
    """

    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """What stands behind its last slash."""
        return self.url.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return re.sub(r"//[^/@]*@", "//", self.url)


LogAddress = Path | LogUrl


def log_address(text: str) -> LogAddress:
    """Read where a log is: what has ``://`` in it, or is a folder, is for fsspec; all else is a file."""
    if re.match(r"[a-z][a-z0-9+.-]*://", text):
        return LogUrl(text)
    return LogUrl(Path(text).absolute().as_uri()) if Path(text).is_dir() else Path(text)
