"""A user's history as questions with known answers: what that user's own adapter is trained on, and nothing later."""

from collections.abc import Iterable
from dataclasses import dataclass

from personaplug.records import Example, HistoryItem, Profile
from personaplug.tasks.task import Task


@dataclass(frozen=True, slots=True)
class UserHistory:
    """What may be known of a user for all of a split's queries.

    Attributes:
        profile: What the first of the queries may see.
        first: That query's input, in whose words the history is asked.
    """

    profile: Profile
    first: str


def histories_of(examples: Iterable[Example]) -> list[UserHistory]:
    """Take each user's history as of their first query, in order of user id.

    A later query may see more, but one adapter answers all of them: what was trained on must be earlier than the
    earliest (less the embargo, as that query's own history is).
    """
    first: dict[str, Example] = {}
    for example in examples:
        user = example.profile.user_id
        if user not in first or _order(example) < _order(first[user]):
            first[user] = example
    return [UserHistory(first[user].profile, first[user].input) for user in sorted(first)]


def training_examples(history: UserHistory, task: Task, *, max_items: int) -> list[Example]:
    """Ask a user's latest items (all where ``max_items`` is 0), each with what was before it, less the embargo.

    An item is asked as the split's queries are, unless its output is no answer to them: LaMP-1's items are titles with
    abstracts, which no citation answers. There the output is learnt from the bare input.
    """
    items = history.profile.items
    return [
        Example(
            id=item.id,
            profile=Profile(history.profile.user_id, _before(item, items, task=task)),
            input=task.as_query(item.input, like=history.first) if _answers(item, task) else item.input,
            target=item.output,
            time=item.time,
        )
        for item in history.profile.latest(max_items or len(items)).items
    ]


def _before(item: HistoryItem, items: Iterable[HistoryItem], *, task: Task) -> tuple[HistoryItem, ...]:
    return tuple(each for each in items if each.time < item.time - task.history.embargo)


def _answers(item: HistoryItem, task: Task) -> bool:
    return not task.labels or item.output in task.labels


def _order(example: Example) -> tuple[object, ...]:
    return example.time, len(example.profile.items), example.id
