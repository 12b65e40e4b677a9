"""What a measurement ran on, what it ran with, and the memory it took."""

import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from shutil import which

_BFLOAT16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
_PACKAGES = "torch", "transformers"
_PROJECT = Path(__file__).parents[3]
"""The checkout, where the package is installed from one."""
_NOT_CODE = ":!benchmarks/results", ":!docs"
"""What may change in a checkout while the code is still the commit's."""


def describe_machine() -> str:
    """Name architecture, cores, system, Python and processor in one line."""
    system = f"{platform.system()} {platform.release()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}, {processor()}"


def processor() -> str:
    """Name the processor, and what it computes bfloat16 with: of one name, some can and some cannot."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name, flags = said.get("model name", "processor unknown"), said.get("flags", "").split()
    return next((f"{name} with {words}" for flag, words in _BFLOAT16.items() if flag in flags), name)


def describe_software() -> str:
    """Name the versions that decide what is measured, and the commit where the package is a checkout's."""
    at = f" at {found}" if (found := commit()) else ""
    return ", ".join([f"personaplug {version('personaplug')}{at}", *(f"{name} {version(name)}" for name in _PACKAGES)])


@cache
def commit() -> str:
    """Name the checkout's commit when first asked, and say where the code is not the commit's; empty without one."""
    if not (_PROJECT / ".git").exists() or not which("git"):
        return ""
    changes = _git("status", "--porcelain", "--", ".", *_NOT_CODE)
    return _git("rev-parse", "--short=12", "HEAD") + (" (changed)" if changes else "")


def peak_memory_mb() -> float:
    """Give the most memory that this process has held so far, in MB of 10^6 bytes.

    Linux is asked for the program's own: the number of getrusage(2) is inherited over fork and exec, so that a process
    begun by a larger one would show the larger one's.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _git(*words: str) -> str:
    run = subprocess.run(
        ["git", "--no-optional-locks", "-C", _PROJECT, *words], capture_output=True, text=True, check=False
    )
    return run.stdout.strip()
