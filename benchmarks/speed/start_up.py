"""The CPU that ``personaplug --help`` takes, interpreter included, and whether it imports torch."""

import resource
import subprocess
import sys
from statistics import median

from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target

_HELP = "import sys; from personaplug.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
_TELL = "print('torch' in sys.modules, file=sys.stderr)"


def measure(effort: Effort) -> list[Row]:
    """Start it several times; the first time, which may read files from disk, is left out."""
    seconds = [_cpu_seconds() for _ in range(3 if effort.is_quick else 11)][1:]
    told = _run(_HELP + _TELL).stderr.strip()
    details = {"starts": len(seconds), "slowest_seconds": max(seconds), "imports_torch": float(told != "False")}
    words = f"`personaplug --help`, Python {sys.version_info.major}.{sys.version_info.minor}"
    return [Row("start-up", words, median(seconds), "s of CPU", Target("at most", 0.3), details)]


def _cpu_seconds() -> float:
    before = _children()
    _run(_HELP)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
