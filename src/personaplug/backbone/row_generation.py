"""Answers that grow side by side in one batch, each decoded, stopped and listened to in its own way."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import StoppingCriteria

from personaplug.backbone.generation_config import GenerationConfig

Ending = Literal["stop", "length"]

_FIRST_UNSPACED = "\u2e80"
"""From here on scripts are written without spaces, so that each sign stands for itself."""


class RowGeneration:
    """One answer while it grows. Its methods are called in the thread that generates, :meth:`cancel` in any.

    Args:
        config: How to decode it; not by beams.
        stops: Texts before which it ends.
        tell: Called with this when it has ended, and, where it is streamed, whenever it may have grown.
        is_streamed: Whether :attr:`settled` is kept up to date; that decodes all tokens at each step.

    Attributes:
        tokens: Its tokens so far, without its end.
        settled: The part of the text that no later token changes.
        text: The whole answer, once it has ended.
        ending: Why it ended: by its own end or a stop, or by its length; None while it grows and after a cancellation.
    """

    def __init__(
        self,
        config: GenerationConfig,
        *,
        stops: Sequence[str] = (),
        tell: "Callable[[RowGeneration], None] | None" = None,
        is_streamed: bool = False,
    ) -> None:
        if config.strategy == "beam":
            raise ValueError("answers that grow token by token are not for beams")
        self.config = config
        self.stops = tuple(stops)
        self.tokens: list[int] = []
        self.settled = ""
        self.text = ""
        self.ending: Ending | None = None
        self.is_cancelled = False
        self._tell = tell
        self._is_streamed = is_streamed

    @property
    def is_over(self) -> bool:
        """Whether it wants no more tokens."""
        return self.is_cancelled or self.ending is not None

    def cancel(self) -> None:
        """Let it end at its next token, untold."""
        self.is_cancelled = True

    def add(self, token: int, *, is_end: bool, decode: Callable[[list[int]], str]) -> None:
        """Take the next token. An end may be a word too: ``decode`` gets it, and leaves out what is none."""
        if not is_end:
            self.tokens.append(token)
        ending = self._ending(is_end=is_end)
        if ending is None and not self.stops and not self._is_streamed:
            return
        text, is_stopped = _cut(decode([*self.tokens, token] if is_end else self.tokens), self.stops)
        self.ending = "stop" if is_stopped else ending
        if self.ending is None:
            self.settled = max(self.settled, _settled(text, self.stops).strip(), key=len)
        else:
            self.text = self.settled = text.strip()
        if self._tell and (self._is_streamed or self.ending):
            self._tell(self)

    def _ending(self, *, is_end: bool) -> Ending | None:
        if is_end:
            return "stop"
        return "length" if len(self.tokens) == self.config.max_new_tokens else None


class RowStopping(StoppingCriteria):
    """Hands each row of a batch its tokens, and ends rows one by one.

    Args:
        writings: One a row.
        ends: Tokens that end an answer.
        decode: Writes tokens as text.
    """

    def __init__(
        self, writings: Sequence[RowGeneration], *, ends: set[int], decode: Callable[[list[int]], str]
    ) -> None:
        self.writings = writings
        self.ends = ends
        self.decode = decode

    def __call__(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        scores: Any,  # noqa: ANN401, ARG002 (transformers' signature)
        **_: Any,  # noqa: ANN401
    ) -> Bool[Tensor, " batch"]:
        """Say which rows are over."""
        for writing, token in zip(self.writings, input_ids[:, -1].tolist(), strict=True):
            if not writing.is_over:
                writing.add(token, is_end=token in self.ends, decode=self.decode)
        return torch.tensor([writing.is_over for writing in self.writings], device=input_ids.device)


def streamed(config: GenerationConfig, write: Callable[[RowGeneration], None]) -> Iterator[str]:
    """Have one answer written in a thread of its own, and give it piece by piece.

    A reader who leaves ends the answer at its next token; closing the iterator waits for that.

    Args:
        config: How to decode it.
        write: Writes it to its end.

    Raises:
        Exception: What ``write`` raises.
    """
    texts: SimpleQueue[str | None] = SimpleQueue()
    writing = RowGeneration(config, tell=lambda each: texts.put(each.settled), is_streamed=True)
    told = 0
    with ThreadPoolExecutor(max_workers=1) as pool:
        written = pool.submit(write, writing)
        written.add_done_callback(lambda _: texts.put(None))  # after a failure too: the reader would wait forever
        try:
            for text in iter(texts.get, None):
                if len(text) > told:
                    yield text[told:]
                    told = len(text)
        finally:
            writing.cancel()
    written.result()


def _cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """End a text before the first stop in it; say whether there was one."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _settled(text: str, stops: Sequence[str]) -> str:
    """Leave out the last word, which the next token may change, and what may be the beginning of a stop."""
    if not text or text[-1] < _FIRST_UNSPACED or text[-1] == "\N{REPLACEMENT CHARACTER}":
        words = text.rsplit(maxsplit=1)
        text = words[0] if len(words) == 2 else ""
    beginnings = (stop[:size] for stop in stops for size in range(len(stop) - 1, 0, -1))
    longest = max((len(each) for each in beginnings if text.endswith(each)), default=0)
    return text[: len(text) - longest]
