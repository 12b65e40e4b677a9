"""One command that a launcher such as ``torchrun`` has started many times over: one of its processes speaks for all."""

import os
import sys
from datetime import timedelta

_TOLD = "personaplug/told"


def is_one_of_many() -> bool:
    """Tell whether a launcher has started other processes of this command."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def speaks() -> bool:
    """Tell whether this process shows progress and results: the first of them all."""
    return not is_one_of_many() or os.environ.get("RANK", "0") == "0"


def tells_error() -> bool:
    """Tell whether this process is to say what went wrong: the first that asks, for what goes wrong together.

    Before they have met, what is wrong stands in the command itself, and the first of each machine says it.
    """
    if not is_one_of_many():
        return True
    if not _have_met():
        return os.environ.get("LOCAL_RANK", "0") == "0"
    from torch import distributed

    host, port = os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "0"))
    try:
        store = distributed.TCPStore(  # type: ignore[attr-defined]
            host, port, is_master=False, timeout=timedelta(seconds=5)
        )
        return bool(store.add(_TOLD, 1) == 1)
    except (distributed.DistError, RuntimeError, ValueError):  # Who kept it is gone, or was never there.
        return True


def part() -> None:
    """Leave the others when all have done their work: a process that ends as it stands may be aborted by torch."""
    if is_one_of_many() and _have_met():
        from torch import distributed

        distributed.barrier()
        distributed.destroy_process_group()


def leave() -> None:
    """End this process at once where there are many: taken apart by Python, one whose threads are torch's may abort."""
    if is_one_of_many():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def quieten() -> None:
    """Keep torch's own notes about the network and its processes off the screen, where there are many."""
    if is_one_of_many():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _have_met() -> bool:
    """Tell whether the processes have joined each other; before torch is imported they have not."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.distributed.is_initialized())
