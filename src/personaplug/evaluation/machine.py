"""What a measurement ran on, and the memory it took."""

import os
import platform
import resource
import sys
from pathlib import Path


def describe_machine() -> str:
    """Name processor, cores, system and Python in one line."""
    system = f"{platform.system()} {platform.release()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


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
