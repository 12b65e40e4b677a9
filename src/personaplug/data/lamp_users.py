"""Who asks LaMP's questions: one user with one history, out of the profiles of all their questions.

Where the files name users (those of the time split do), a user's profile grows from question to question. The profiles
become one history in which every question still sees its own profile and nothing more, however coarse the dates are:
an item's time is its date, moved by two seconds for each shorter profile that lacks it, and a question is asked a
second after the last item of its profile. That is possible where of any two profiles the longer one holds the other,
and has nothing more that is earlier. A question whose profile does not fit in so is refused.

Where the files name nobody, questions whose profiles have the same item ids are taken as one user's, and a question
without a profile as a user of its own.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from personaplug.data.lamp_question import LampQuestion, ProfileItem
from personaplug.data.times import EPOCH

SECOND = timedelta(seconds=1)
Profile = Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A user's history.

    Attributes:
        items: The time of each item, by its id.
        asked: The time at which a question is asked that has this profile, by the profile's :func:`name_of`.
    """

    items: Mapping[str, datetime]
    asked: Mapping[str, datetime]


def lay_out(profiles: Iterable[Profile]) -> Timeline:
    """Make one history of a user's profiles, the shortest first; those that do not fit in are not in it.

    Items without a date are numbered through as seconds from 1970, so that their order stays.
    """
    times: dict[str, datetime] = {}
    chain: list[Profile] = []
    for profile in sorted(profiles, key=len):
        if chain and not _continues(profile, chain[-1]):
            continue
        moved = 2 * len(chain) * SECOND
        for name in [name for name in profile if name not in times]:
            date = profile[name]
            times[name] = EPOCH + len(times) * SECOND if date is None else date + moved
        chain.append(profile)
    before_all = min(times.values(), default=EPOCH + SECOND)
    asked = {
        name_of(profile): max(times[name] for name in profile) + SECOND if profile else before_all for profile in chain
    }
    return Timeline(times, asked)


def named_users(questions: Iterable[LampQuestion]) -> dict[str, Timeline]:
    """Make the history of each user who is named."""
    profiles: defaultdict[str, dict[str, Profile]] = defaultdict(dict)
    for question in questions:
        if question.user_id is not None:
            profiles[question.user_id].setdefault(name_of(question.profile), question.profile)
    return {user_id: lay_out(profiles.pop(user_id).values()) for user_id in list(profiles)}


def name_of(profile: Iterable[str]) -> str:
    """Tell a profile from all others by the ids of its items."""
    return _hashed(sorted(profile))


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a profile is told once: an item of a named user, or all that a nobody's profile has."""

    key: tuple[str, str]
    items: Sequence[ProfileItem]
    digest: bytes


class Users:
    """Puts questions to their users, and knows what of each user's history has been told already.

    Args:
        named: The histories of those who are named.
    """

    def __init__(self, named: Mapping[str, Timeline]) -> None:
        self._named = named
        self._told: dict[tuple[str, str], bytes] = {}
        self._answered: dict[tuple[str, str], bytes] = {}

    def rows(self, question: LampQuestion, output: str | None, *, split: str) -> list[dict[str, str | None]]:
        """Write a question as rows of a log: what of its profile was not told before, then itself.

        Args:
            question: The question.
            output: Its answer; None where that is not known.
            split: Of the question.

        Raises:
            DataError: Its profile does not fit in with those of the user's other questions, one of these has another
                item of the same id, or something else of the user has the question's id.
        """
        user_id = question.user_id or _nobody(question)
        line = lay_out([question.profile]) if question.user_id is None else self._named[question.user_id]
        asked = _row(user_id, question, _time_of(question, line), output=output, split=split)
        answer = {} if output is None else {(user_id, question.id): self._checked_answer(question, asked, line)}
        fresh = self._untold(question, user_id)
        self._answered |= answer
        self._told |= {part.key: part.digest for part in fresh}
        return [*(_row(user_id, item, line.items[item.id]) for part in fresh for item in part.items), asked]

    def _untold(self, question: LampQuestion, user_id: str) -> list[_Part]:
        parts = _parts(question, user_id)
        if any(self._told.get(part.key, part.digest) != part.digest for part in parts):
            raise question.row.error(
                f"the profile of question {question.id!r:.40} shares item ids with that of an earlier question of the"
                " same user, but not what stands under them",
                hint="--skip-bad leaves such questions out",
            )
        return [part for part in parts if part.key not in self._told]

    def _checked_answer(self, question: LampQuestion, asked: Mapping[str, str | None], line: Timeline) -> bytes:
        digest = _digest([asked["time"], asked["input"], asked["output"]])
        held = self._answered.get((str(asked["user_id"]), question.id), digest)
        if question.id in line.items or held != digest:
            other = "an item of the profile" if question.id in line.items else "another question"
            raise question.row.error(
                f"{other} of the same user has the id of the question {question.id!r:.40}",
                hint="--skip-bad leaves such questions out",
            )
        return digest


def _parts(question: LampQuestion, user_id: str) -> list[_Part]:
    if question.user_id is None:
        return [_Part((user_id, ""), question.items, _digest_of(question.items))]
    return [_Part((user_id, item.id), [item], _digest_of([item])) for item in question.items]


def _time_of(question: LampQuestion, line: Timeline) -> datetime:
    time = line.asked.get(name_of(question.profile))
    if time is None:
        raise question.row.error(
            f"the profile of question {question.id!r:.40} does not fit in with those of the user's other questions: of"
            " two the longer must hold the other, and have nothing more that is earlier",
            hint="--skip-bad leaves such questions out",
        )
    return time


def _row(
    user_id: str, what: LampQuestion | ProfileItem, time: datetime, *, output: str | None = None, split: str = "history"
) -> dict[str, str | None]:
    return {
        "user_id": user_id,
        "time": time.isoformat(),
        "id": what.id,
        "input": what.input,
        "output": what.output if isinstance(what, ProfileItem) else output,
        "split": split,
    }


def _continues(profile: Profile, shorter: Profile) -> bool:
    """Tell whether a profile is a shorter one and what was written no earlier than that one's last item."""
    latest = max((date or EPOCH for date in shorter.values()), default=None)
    more = [date or EPOCH for name, date in profile.items() if name not in shorter]
    return shorter.keys() <= profile.keys() and (latest is None or all(date >= latest for date in more))


def _nobody(question: LampQuestion) -> str:
    return name_of(question.profile) if question.items else _hashed(["question", question.id])


def _hashed(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]


def _digest_of(items: Iterable[ProfileItem]) -> bytes:
    return _digest(sorted([item.id, str(item.date), item.input, item.output] for item in items))


def _digest(content: object) -> bytes:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).digest()
