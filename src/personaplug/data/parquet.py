"""Rows of Parquet files, batch by batch. Of this room the only module that imports pyarrow: the extra ``parquet``."""

import gzip
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pyarrow
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from pyarrow.parquet import ParquetFile

from personaplug.data.log_url import LogAddress, LogUrl
from personaplug.data.mending import from_error
from personaplug.data.unreadable import Unreadable
from personaplug.errors import DataError

BATCH_ROWS = 256
_UNREADABLE = (pyarrow.ArrowException, OSError, EOFError, zlib.error)
_PER_YEAR = {unit: 31_556_952 * 1000**power for power, unit in enumerate(("s", "ms", "us", "ns"))}


def read_parquet(path: Path) -> Iterator[dict[str, object]]:
    """Yield a Parquet file's rows as plain values; ``.gz`` is unpacked to a temporary file first, since Parquet seeks.

    Timestamps are cut to microseconds; those with a time zone are in UTC. A value that Python cannot hold, such as a
    day of the year 33658, is :class:`Unreadable`.

    Raises:
        DataError: The file is not Parquet, is cut off, has two columns of one name, or has ids in
            floats of 32 bits.
    """
    try:
        with path.open("rb") as file, TemporaryFile() as unpacked:
            source = _unpack(file, unpacked) if path.name.lower().endswith(".gz") else file
            yield from _rows(source, path)
    except _UNREADABLE as error:
        raise _broken(path, error) from error


def read_parts(log: LogUrl) -> Iterator[tuple[LogUrl, Iterator[dict[str, object]]]]:
    """Yield the files of a log with their rows, as :func:`read_parquet` gives them.

    They come in the order of their names: the log itself, or what a folder holds that ends in ``.parquet``.

    Raises:
        DataError: There are none, one cannot be read as Parquet, their place is out of reach, or nothing installed
            reads such addresses.
    """
    try:
        files, place = url_to_fs(log.url)
        names = sorted(files.find(place)) if files.isdir(place) else [place]
    except (ImportError, ValueError) as error:
        hint = f"what fsspec says: {error}"
        raise DataError("nothing that is installed reads such an address", path=str(log), hint=hint) from error
    except Exception as error:  # whatever the library of such places raises: botocore's errors are none of Python's
        raise _out_of_reach(log, error) from error
    names = [name for name in names if name.lower().endswith(".parquet")]
    if not names:
        raise DataError("holds no Parquet", path=str(log), hint="of other places than files only .parquet is read")
    for name in names:
        part = LogUrl(files.unstrip_protocol(name))
        yield part, _read_part(files, name, part=part)


def _read_part(files: AbstractFileSystem, name: str, *, part: LogUrl) -> Iterator[dict[str, object]]:
    try:
        with files.open(name, "rb") as file:
            yield from _rows(file, part)
    except FileNotFoundError as error:
        raise DataError("there is no such file", path=str(part)) from error
    except _UNREADABLE as error:
        raise _broken(part, error) from error
    except DataError:
        raise
    except Exception as error:
        raise _out_of_reach(part, error) from error


def _rows(source: IO[bytes], path: LogAddress) -> Iterator[dict[str, object]]:
    opened = ParquetFile(source, coerce_int96_timestamp_unit="us")  # else years beyond 2262 wrap around
    names = opened.schema_arrow.names
    _check(opened.schema_arrow, path)
    for batch in opened.iter_batches(batch_size=BATCH_ROWS):
        columns = [_values(column) for column in batch.columns]
        yield from (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _broken(path: LogAddress, error: Exception) -> DataError:
    known = from_error(path, error) if isinstance(path, Path) else ""
    return DataError(f"cannot be read as Parquet: {error}", path=str(path), hint=known or "fetch or write it again")


def _out_of_reach(log: LogUrl, error: Exception) -> DataError:
    said = LogUrl(str(error).partition("\n")[0])  # as text it has no password
    hint = "check the address, the network, and what its library asks for, such as AWS_PROFILE and AWS_ENDPOINT_URL"
    return DataError(f"cannot be read: {type(error).__name__}: {said!s:.300}", path=str(log), hint=hint)


def _check(columns: pyarrow.Schema, path: LogAddress) -> None:
    names = columns.names
    if len(set(names)) < len(names):
        raise DataError(
            f"a column stands twice in it: {', '.join(names):.200}", path=str(path), hint="drop or rename one"
        )
    for column in columns:
        if column.name in ("user_id", "id") and column.type in (pyarrow.float16(), pyarrow.float32()):
            message = f"column {column.name!r} holds {column.type}s, which cannot tell large ids apart"
            raise DataError(message, path=str(path), hint="write it as int64 or text")


def _values(column: pyarrow.Array) -> list[object]:
    kind = column.type
    if pyarrow.types.is_timestamp(kind):
        unit = "us" if kind.unit == "ns" else kind.unit
        column = column.cast(pyarrow.timestamp(unit, "UTC" if kind.tz else None), safe=False)
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pyarrow.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return Unreadable(f"its text is not UTF-8: byte 0x{error.object[error.start]:02x} after {error.start} bytes")
    except (ValueError, OverflowError):
        return Unreadable(_out_of_range(scalar))


def _out_of_range(scalar: pyarrow.Scalar) -> str:
    if not pyarrow.types.is_timestamp(scalar.type):
        return f"no Python value holds its {scalar.type}"
    years = scalar.value // _PER_YEAR[scalar.type.unit]
    return f"{scalar.value} {scalar.type.unit} since 1970 lie in the year {1970 + years}, outside the years 1 to 9999"


def _unpack(file: IO[bytes], target: IO[bytes]) -> IO[bytes]:
    with gzip.open(file, "rb") as packed:
        shutil.copyfileobj(packed, target)
    target.seek(0)
    return target
