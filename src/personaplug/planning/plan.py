"""A plan: three ways to answer in each user's own, in the same numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from personaplug.planning.answer_cost import AnswerCost, answer_of
from personaplug.planning.constants import Constants
from personaplug.planning.fleet import Fleet, HourlyPrices, Price, fleet_of, price_of
from personaplug.planning.preparation import Preparation, daily_work_of, preparation_of
from personaplug.planning.storage import Storage, storage_of
from personaplug.planning.ways import WAYS, Way
from personaplug.planning.workload import Workload


@dataclass(frozen=True, slots=True)
class WayPlan:
    """All numbers of one way.

    Attributes:
        storage: On disk.
        preparation: Before the first answer.
        day: For a day's new items.
        answer: Of one.
        fleet: For all.
        price: Of a million answers.
    """

    storage: Storage
    preparation: Preparation
    day: Preparation
    answer: AnswerCost
    fleet: Fleet
    price: Price


@dataclass(frozen=True, slots=True)
class Plan:
    """A workload, what is known, and what follows for each way.

    Attributes:
        load: What was asked.
        constants: What it stands on.
        prices: Of an hour.
        ways: Each way's numbers.
    """

    load: Workload
    constants: Constants
    prices: HourlyPrices
    ways: Mapping[Way, WayPlan]


def plan(load: Workload, constants: Constants | None = None, *, prices: HourlyPrices | None = None) -> Plan:
    """Make a plan.

    Raises:
        ConfigError: The model is too large for its engine.
    """
    known, paid = constants or Constants(), prices or HourlyPrices()
    return Plan(load, known, paid, {way: _way_plan(way, load, known=known, prices=paid) for way in WAYS})


def _way_plan(way: Way, load: Workload, *, known: Constants, prices: HourlyPrices) -> WayPlan:
    preparation, answer = preparation_of(way, load, known), answer_of(way, load, known)
    fleet = fleet_of(way, load, answer)
    return WayPlan(
        storage_of(way, load, known),
        preparation,
        daily_work_of(way, load, known),
        answer,
        fleet,
        price_of(load, answer, fleet, preparation=preparation, prices=prices),
    )
