"""A prompt in which a task's own words stay whole, wherever the input stands: a long input loses its end, not they."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from personaplug.records import HistoryItem
from personaplug.tasks.task import Task


def prompt_within(task: Task, text: str, cut: Callable[[str], str], items: Sequence[HistoryItem] = ()) -> str:
    """Write a prompt with the input's end left out where the words behind it would else be cut off.

    Args:
        task: In whose words.
        text: The input.
        cut: Cuts a prompt at its end, as the language model does.
        items: Retrieved items, if any.

    Returns:
        The whole prompt where the input stands last, or where not even the words around it fit: the reader cuts it.
    """
    written = task.prompt_text(text, items)
    frame = task.retrieval.prompt if items else "{prompt}"
    if frame.replace("{prompt}", task.prompt).endswith("{input}") or cut(written) == written:
        return written

    def is_too_long(length: int) -> bool:
        shorter = task.prompt_text(text[:length], items)
        return cut(shorter) != shorter

    most = bisect_left(range(1, len(text) + 1), x=True, key=is_too_long)
    return written if is_too_long(most) else task.prompt_text(text[:most], items)
