"""Rows of a Parquet file, batch by batch. The only module that imports pyarrow: the extra ``parquet``."""

import gzip
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pyarrow
from pyarrow.parquet import ParquetFile

from personaplug.errors import DataError

BATCH_ROWS = 256


def read_parquet(path: Path) -> Iterator[dict[str, object]]:
    """Yield a Parquet file's rows as plain values; ``.gz`` is unpacked to a temporary file first, since Parquet seeks.

    Raises:
        DataError: The file is not Parquet, or is cut off.
    """
    try:
        with path.open("rb") as file, TemporaryFile() as unpacked:
            source = _unpack(file, unpacked) if path.name.lower().endswith(".gz") else file
            for batch in ParquetFile(source).iter_batches(batch_size=BATCH_ROWS):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read as Parquet: {error}", path=path, hint="fetch or write it again") from error


def _unpack(file: IO[bytes], target: IO[bytes]) -> IO[bytes]:
    with gzip.open(file, "rb") as packed:
        shutil.copyfileobj(packed, target)
    target.seek(0)
    return target
