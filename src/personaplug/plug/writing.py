"""Answers that grow side by side in one batch, each decoded, stopped and listened to in its own way."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from personaplug.plug.decoding import GenerationConfig

Ending = Literal["stop", "length"]

_COLDEST = 1e-4
"""A temperature at which the likeliest token is all but certain; a lower one would only overflow."""

_FIRST_UNSPACED = "\u2e80"
"""From here on scripts are written without spaces, so that each sign stands for itself."""


class Writing:
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
        tell: "Callable[[Writing], None] | None" = None,
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
        """Take the next token."""
        if not is_end:
            self.tokens.append(token)
        ending = self._ending(is_end=is_end)
        if ending is None and not self.stops and not self._is_streamed:
            return
        text, is_stopped = _cut(decode(self.tokens), self.stops)
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


class WritingRows(StoppingCriteria):
    """Hands each row of a batch its tokens, and ends rows one by one.

    Args:
        writings: One a row.
        ends: Tokens that end an answer.
        decode: Writes tokens as text.
    """

    def __init__(self, writings: Sequence[Writing], *, ends: set[int], decode: Callable[[list[int]], str]) -> None:
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


class OwnDraws(LogitsProcessor):
    """Draws the next token of each row that is sampled, by the row's own seed, and leaves it as the only one possible.

    So a batch is decoded greedily as a whole, and what is drawn in one row depends on no other.

    Args:
        configs: How to decode each row.
    """

    def __init__(self, configs: Sequence[GenerationConfig]) -> None:
        self._rows = {row: config for row, config in enumerate(configs) if config.strategy == "sample"}
        self._seeds = {row: torch.Generator().manual_seed(config.seed) for row, config in self._rows.items()}

    def __call__(
        self,
        input_ids: Int[Tensor, "batch tokens"],  # noqa: ARG002 (transformers' signature)
        scores: Float[Tensor, "batch vocabulary"],
    ) -> Float[Tensor, "batch vocabulary"]:
        """Draw, where there is something to draw."""
        for row, config in self._rows.items():
            likelihoods = scores[row].float().cpu()
            chances = ((likelihoods - likelihoods.max()) / max(config.temperature, _COLDEST)).softmax(dim=0)
            token = int(_nucleus(chances, config.top_p).multinomial(1, generator=self._seeds[row]))
            scores[row] = -torch.inf
            scores[row, token] = 0.0
        return scores


def _nucleus(chances: Float[Tensor, " vocabulary"], top_p: float) -> Float[Tensor, " vocabulary"]:
    """Keep the smallest set of tokens that has this probability (arXiv 1904.09751)."""
    if top_p >= 1:
        return chances
    likeliest, order = chances.sort(descending=True)
    is_kept = likeliest.cumsum(dim=0) - likeliest < top_p
    is_kept[0] = True
    return torch.zeros_like(chances).scatter(0, order, likeliest * is_kept)


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
