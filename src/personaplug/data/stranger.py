"""The control for personalization: the same questions, each with somebody else's history."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from personaplug.data.split import Examples, Query, visible_items
from personaplug.data.times import microseconds
from personaplug.errors import PersonaPlugError


def with_strangers(examples: Examples, *, seed: int) -> Examples:
    """Give each query the history of another user of the same examples.

    A stranger is drawn among those who have as many items before the query (less the embargo) as the true history has;
    where nobody has as many, it is who has most (see :func:`count_shorter`). Of these items the latest are kept, as
    many as the true history has. A query's stranger depends on the seed, the query and the users alone, so a subset
    keeps its strangers.

    Raises:
        PersonaPlugError: There is no other user.
    """
    if len(examples.profiles) == 1:
        raise PersonaPlugError(
            "there is no stranger: all queries are of one user",
            hint="take a log of more users, or leave --stranger out",
        )
    times = [[microseconds(item.time) for item in profile.items] for profile in examples.profiles]
    order = Random(seed).sample(range(len(times)), len(times))
    queries = (_estranged(query, examples, times=times, order=order, seed=seed) for query in examples.queries)
    return replace(examples, queries=tuple(queries))


def count_shorter(examples: Examples, estranged: Examples) -> int:
    """Count the queries for which no stranger had as long a history."""
    pairs = zip(examples.queries, estranged.queries, strict=True)
    return sum(theirs.stop - theirs.start < own.stop - own.start for own, theirs in pairs)


def _estranged(
    query: Query, examples: Examples, *, times: Sequence[Sequence[int]], order: Sequence[int], seed: int
) -> Query:
    now, length = microseconds(query.item.time), query.stop - query.start
    first = Random(f"{seed} {examples.profiles[query.owner].user_id} {query.item.id}").randrange(len(order))
    stranger, most = query.owner, -1
    for candidate in (*order[first:], *order[:first]):
        stop = visible_items(times[candidate], now, embargo=examples.history.embargo)
        if candidate != query.owner and stop > most:
            stranger, most = candidate, stop
            if most >= length:
                break
    return replace(query, owner=stranger, start=max(0, most - length), stop=most)
