"""The control for personalization: the same questions, each with somebody else's history."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from personaplug.data.split import Examples, Query, visible_items
from personaplug.data.times import microseconds
from personaplug.errors import PersonaPlugError
from personaplug.records import Profile


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
    times = [_times(profile) for profile in examples.profiles]
    order = Random(seed).sample(range(len(times)), len(times))
    queries = (_estranged(query, examples, times=times, order=order, seed=seed) for query in examples.queries)
    return replace(examples, queries=tuple(queries))


def with_one_stranger_each(examples: Examples, *, seed: int) -> Examples:
    """Give all queries of a user the history of one other user: for who answers all of them by what was learnt once.

    It is the stranger that :func:`with_strangers` gives to the user's first query. Each query sees as many of the
    stranger's latest items as its own history has, or all where there are fewer. Two users may have the same stranger,
    as of different days, so a stranger is named by whom they stand in for too.

    Raises:
        PersonaPlugError: There is no other user.
    """
    strangers: dict[int, int] = {}
    met = zip(examples.queries, with_strangers(examples, seed=seed).queries, strict=True)
    for own, theirs in sorted(met, key=lambda pair: (pair[0].item.time, pair[0].stop - pair[0].start, pair[0].item.id)):
        strangers.setdefault(own.owner, theirs.owner)
    places = {owner: place for place, owner in enumerate(strangers)}
    profiles = tuple(
        Profile(f"{theirs.user_id}, stranger of {examples.profiles[owner].user_id}", theirs.items)
        for owner, theirs in ((owner, examples.profiles[stranger]) for owner, stranger in strangers.items())
    )
    times = [_times(profile) for profile in profiles]
    queries = (
        _seeing(query, places[query.owner], times=times, embargo=examples.history.embargo) for query in examples.queries
    )
    return replace(examples, profiles=profiles, queries=tuple(queries))


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


def _seeing(query: Query, owner: int, *, times: Sequence[Sequence[int]], embargo: timedelta) -> Query:
    """Give a query the latest items of another history, as many as it has of its own."""
    stop = visible_items(times[owner], microseconds(query.item.time), embargo=embargo)
    return replace(query, owner=owner, start=max(0, stop - (query.stop - query.start)), stop=stop)


def _times(profile: Profile) -> list[int]:
    return [microseconds(item.time) for item in profile.items]
