"""The most memory that a piece of work takes, in a process of its own (Linux)."""

import gc
import re
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(make: Callable[..., Callable[[], object]], *arguments: Any) -> float:  # noqa: ANN401 (the maker's)
    """Give the MB (10^6 bytes) that work takes at its highest, beyond what it finds made.

    Args:
        make: A function of a module, which prepares the work and gives it back; what it makes is not counted.
        arguments: For ``make``.
    """
    return float(run_isolated(_peak_beyond, make, *arguments))


def whole_peak_of(make: Callable[..., Callable[[], object]], *arguments: Any) -> float:  # noqa: ANN401
    """Give the MB that the whole process holds at its highest while the work runs, all libraries included."""
    return float(run_isolated(_whole_peak, make, *arguments))


def run_isolated(work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 (the work's)
    """Do work, a function of a module, in a fresh process that has imported no more than that module."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def resident() -> float:
    """Give the MB that this process holds now."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Let the peak begin anew from what is held now."""
    gc.collect()
    _CLEAR.write_text("5", encoding="ascii")


def peak() -> float:
    """Give the most MB held since :func:`forget_peak`."""
    return _status("VmHWM")


def _peak_beyond(make: Callable[..., Callable[[], object]], *arguments: Any) -> float:  # noqa: ANN401
    work = make(*arguments)
    _wake_autograd()
    forget_peak()
    before = resident()
    work()
    return peak() - before


def _wake_autograd() -> None:
    """Load what the first backward pass of a process loads: it is no part of the work."""
    import torch

    weight = torch.ones(2, 2, requires_grad=True)
    (weight @ weight).sum().backward()


def _whole_peak(make: Callable[..., Callable[[], object]], *arguments: Any) -> float:  # noqa: ANN401
    work = make(*arguments)
    forget_peak()
    work()
    return peak()


def _status(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    assert found, f"{_STATUS} has no {name}"
    return int(found[1]) * 1024 / 1e6
