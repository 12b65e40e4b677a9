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
    where nobody has as many, it is who has most. Of these items the latest are kept, as many as the true history has.
    A query's stranger depends on the seed, the query and the users alone, so a subset keeps its strangers.

    Raises:
        PersonaPlugError: For some query, no other user has the fewest items that the task asks for.
    """
    times = [[microseconds(item.time) for item in profile.items] for profile in examples.profiles]
    order = Random(seed).sample(range(len(times)), len(times))
    queries = (_estranged(query, examples, times, order, seed=seed) for query in examples.queries)
    return replace(examples, queries=tuple(queries))


def _estranged(
    query: Query, examples: Examples, times: Sequence[Sequence[int]], order: Sequence[int], *, seed: int
) -> Query:
    now, length = microseconds(query.item.time), query.stop - query.start
    first = Random(f"{seed} {examples.profiles[query.owner].user_id} {query.item.id}").randrange(len(order))
    stranger, most = query.owner, -1
    for candidate in (*order[first:], *order[:first]):
        stop = visible_items(times[candidate], now, examples.history.embargo)
        if candidate != query.owner and stop > most:
            stranger, most = candidate, stop
            if most >= length:
                break
    if most < min(length, max(1, examples.history.min_items)):
        raise PersonaPlugError(
            f"no stranger for the query of {query.item.time:%Y-%m-%d}: no other user has {length} earlier items",
            hint="take more users into the split, or evaluate without strangers",
        )
    return replace(query, owner=stranger, start=max(0, most - length), stop=most)
