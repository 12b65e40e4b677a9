"""Whose ceiling is measured: users of dev with long histories, which are learned from, and later queries of theirs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.plug.model import PersonaPlug
from personaplug.records import Example
from personaplug.rivals.user_lora.history_examples import histories_of, training_examples


@dataclass(frozen=True, slots=True)
class Person:
    """One user.

    Attributes:
        learned: The latest items before the first of the queries, each asked as a query with what was before it; an
            item before which there is none is not asked, as no vector would stand there.
        asked: The queries.
    """

    learned: tuple[Example, ...]
    asked: tuple[Example, ...]


def people(log: Path, plug: PersonaPlug, *, count: int, items: int) -> list[Person]:
    """Take the dev users with the longest histories; among equals, those whose ids come first.

    Args:
        log: The plug's task's.
        plug: Says which task.
        count: Users at most.
        items: To learn from, at most.
    """
    dev = list(split_examples(read_log(log, plug.task), plug.task, split="dev"))
    first = {each.profile.user_id: each for each in histories_of(dev)}
    longest = sorted(first, key=lambda user: (-len(first[user].profile.items), user))[:count]
    queries = dict(_by_user(dev))
    asked = {user: training_examples(first[user], plug.task, max_items=items) for user in longest}
    return [Person(tuple(each for each in asked[user] if each.profile.items), queries[user]) for user in longest]


def _by_user(examples: Sequence[Example]) -> Iterator[tuple[str, tuple[Example, ...]]]:
    ordered = sorted(examples, key=lambda each: each.profile.user_id)
    return ((user, tuple(own)) for user, own in groupby(ordered, key=lambda each: each.profile.user_id))
