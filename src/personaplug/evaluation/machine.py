"""What a measurement ran on, and the memory it took."""

import os
import platform
import resource
import sys


def describe_machine() -> str:
    """Name processor, cores, system and Python in one line."""
    system = f"{platform.system()} {platform.release()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def peak_memory_mb() -> float:
    """Give the most memory that this process has held so far, in MB of 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
