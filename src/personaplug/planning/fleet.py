"""How many machines answer the busiest hour, what their memory holds, and what a million answers cost."""

from dataclasses import dataclass
from math import ceil, inf, isfinite

from personaplug.errors import ConfigError
from personaplug.planning.answer_cost import CORES, AnswerCost, batch_bytes
from personaplug.planning.memory import hit_rate
from personaplug.planning.preparation import Preparation
from personaplug.planning.ways import Way, has_store
from personaplug.planning.workload import Workload

MILLION = 1e6
_BYTES_OF_OBJECTS = 400
"""Of an item in a server's memory beyond texts and vectors (``serving/engine/history_cache.py``)."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The machines.

    Attributes:
        server_bytes: GPU memory of one server: weights, and a batch's keys, values and adapters.
        gpus: At the busiest time.
        cores: Of processors, at the busiest time.
        held_users: Whose own a server's memory holds.
        found: Share of requests that find their user's own there.
        fetched_bytes_a_second: By all servers together, at the busiest time.
    """

    server_bytes: float
    gpus: int
    cores: float
    held_users: float
    found: float
    fetched_bytes_a_second: float


@dataclass(frozen=True, slots=True)
class HourlyPrices:
    """What an hour costs, in any money; None where that is not known.

    Attributes:
        gpu: Of one GPU.
        machine: Of one machine of two cores.

    Raises:
        ConfigError: A price is no number above zero.
    """

    gpu: float | None = None
    machine: float | None = None

    def __post_init__(self) -> None:
        for what, price in (("GPU", self.gpu), ("machine", self.machine)):
            if price is not None and not (isfinite(price) and price > 0):
                raise ConfigError(f"the price of a {what}'s hour must be a number above zero, not {price}")


@dataclass(frozen=True, slots=True)
class Price:
    """What a million answers take and cost.

    Attributes:
        busy_hours: Of GPUs, all busy.
        paid_hours: Of GPUs that are there for the busiest time all day.
        machine_hours: Of the two-core machines that are there beside them.
        cost: Of the hours of both; None where one of the prices that it needs is not known.
        preparation_cost: Of training and encoding before the first answer; None as above.
    """

    busy_hours: float
    paid_hours: float
    machine_hours: float
    cost: float | None
    preparation_cost: float | None


def fleet_of(way: Way, load: Workload, answer: AnswerCost) -> Fleet:
    """Size the machines.

    Raises:
        ConfigError: The engine writes on one GPU alone, and the model takes more.
    """
    size = load.model.size + batch_bytes(way, load, written=load.answer_tokens)
    each = ceil(size / load.gpu_memory)
    if each > 1 and load.engine == "local":
        raise ConfigError(
            f"a server takes {size / 1e9:,.0f} GB and a GPU has {load.gpu_memory / 1e9:,.0f}",
            hint="the local engine writes on one GPU: --engine vllm, or a smaller --batch",
        )
    servers = max(1, ceil(load.peak_rate * answer.gpu_ms / 1e3 / each))
    held = min(load.users, load.memory / _bytes_in_memory(way, load, answer))
    found = hit_rate(users=load.users, skew=load.skew, room=held, between=_between_changes(way, load, servers=servers))
    fetched = load.peak_rate * (1 - found) * answer.fetched_bytes
    return Fleet(size, each * servers, load.peak_rate * answer.core_ms / 1e3, held, found, fetched)


def price_of(
    load: Workload, answer: AnswerCost, fleet: Fleet, *, preparation: Preparation, prices: HourlyPrices
) -> Price:
    """Price a million answers and what stands before the first."""
    busy = MILLION * answer.gpu_ms / 1e3 / 3600
    days = MILLION / load.requests
    paid, beside = days * 24 * fleet.gpus, days * 24 * fleet.cores / CORES
    before = _cost(prices, gpu_hours=preparation.training_hours, machine_hours=preparation.encoding_hours)
    return Price(busy, paid, beside, _cost(prices, gpu_hours=paid, machine_hours=beside), before)


def _cost(prices: HourlyPrices, *, gpu_hours: float, machine_hours: float) -> float | None:
    spent = (gpu_hours, prices.gpu), (machine_hours, prices.machine)
    is_known = all(price is not None for hours, price in spent if hours)
    return sum(hours * (price or 0.0) for hours, price in spent) if is_known else None


def _bytes_in_memory(way: Way, load: Workload, answer: AnswerCost) -> float:
    return answer.fetched_bytes + (_BYTES_OF_OBJECTS * load.items if has_store(way) else 0.0)


def _between_changes(way: Way, load: Workload, *, servers: int) -> float:
    """Count one server's requests between two changes of the store, each of which empties every server's memory."""
    if not has_store(way) or not load.new_items:
        return inf
    return max(1.0, load.requests / servers / load.new_items)
