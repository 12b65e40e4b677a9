"""A low-rank path beside the frozen language model, trained on all users and the same for each: LoRA, arXiv 2106.09685.

It has no user in it: alone it is the control for one adapter a user, as a tuned prompt is for the persona; beside a
persona it is what all users share. The language model's own weights stay as they are.

By default inputs do not go through it: the frozen model reads them, and it begins where the answer does. So a training
step has few tokens to go back through, and what was read of an input can be kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from threading import get_ident
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from personaplug.backbone.attention_maps import Hook, added_to, attention_projections, hooked
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.config import option


@dataclass(frozen=True, slots=True)
class SharedAdapterConfig:
    """How large the path is that all users share."""

    rank: int = option(
        -1,
        "columns of each of its two matrices beside a frozen one; 0 for none;"
        " -1 for 8 beside a persona and in tuned-lora, and none beside a tuned prompt",
    )
    alpha: float = option(16.0, "what they add is multiplied by alpha / rank")
    places: Literal["attention", "query-value"] = option(
        "attention", "every linear map of the attention, or those of queries and values alone"
    )
    reads: Literal["answer", "all"] = option(
        "answer", "what goes through it: answers and what stands right before them, or inputs too"
    )
    learns: Literal["with", "both"] = option(
        "both",
        "answers with a persona beside them; both: also without one, as users without items are answered",
    )

    def __post_init__(self) -> None:
        if self.rank < -1 or not self.alpha > 0:
            raise ValueError(f"rank {self.rank} must be at least 0, or -1, alpha {self.alpha} above zero")


class SharedAdapter(nn.Module):
    """Adds ``alpha / rank * B A x`` to what linear maps of a language model make of ``x``, while it is beside them.

    Args:
        model: Whose maps; it is no part of this module.
        config: How large; a rank of at least one.
        closing: Tokens that end every input, one at least; where it reads answers, it reads these too.
        vectors: How many stand behind them, which it also reads.

    Attributes:
        first: ``A`` of each map, ``[rank, inputs]``, drawn at random.
        second: ``B`` of each map, ``[outputs, rank]``, zero at first: an untrained adapter changes nothing.
        tail: Tokens and vectors at the end of every input that it reads; None where it reads all that its maps do.

    Raises:
        ConfigError: The model has no attention with linear maps in it.
    """

    def __init__(
        self, model: PreTrainedModel, config: SharedAdapterConfig, *, closing: int = 1, vectors: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        is_decoders = config.reads == "answer" and model.config.is_encoder_decoder
        self.closing = closing
        self.tail = None if is_decoders or config.reads == "all" else self.closing + vectors
        maps = attention_projections(model, only=config.places)
        if is_decoders:
            maps = {name: each for name, each in maps.items() if "decoder" in name.split(".")}
        self.names = tuple(maps)
        shapes = [_shape(each) for each in maps.values()]
        self.first = nn.ParameterList(torch.empty(config.rank, inputs) for inputs, _ in shapes)
        self.second = nn.ParameterList(torch.zeros(outputs, config.rank) for _, outputs in shapes)
        for weight in self.first:
            nn.init.kaiming_uniform_(weight, a=sqrt(5))
        self._threads: set[int] = set()
        self._until: ExitStack | None = None

    def joined(self, inputs: TokenEmbeddings, model: PreTrainedModel, *, is_behind: bool) -> TokenEmbeddings:
        """Have it stand beside a language model that reads inputs.

        Args:
            inputs: With all vectors in them.
            model: That of this adapter, or a copy in another precision.
            is_behind: Whether the frozen model reads them by itself as far as the adapter's ``tail``.
        """
        return replace(inputs, tail=(self.tail or 0) if is_behind else 0, beside=partial(self.beside, model))

    @contextmanager
    def beside(
        self, model: PreTrainedModel, answer_tokens: int = 0, *, rows: Sequence[bool] | None = None
    ) -> Iterator[None]:
        """Stand beside a language model, for what this thread has it read; entered again inside, it stands there once.

        Args:
            model: That of this adapter, or a copy in another precision.
            answer_tokens: Of given answers, read behind the inputs in the same pass.
            rows: Which rows of what the model reads go through it, a row's beams with it; None for all.
        """
        if (thread := get_ident()) in self._threads:
            yield
            return
        parts = zip(self.names, self.first, self.second, strict=True)
        last = None if self.tail is None else self.tail + answer_tokens
        chosen = None if rows is None or all(rows) else self.first[0].new_tensor(rows)
        hooks = [
            (model.get_submodule(name), _in_thread(thread, self._path(first, second, chosen=chosen, last=last)))
            for name, first, second in parts
        ]
        self._threads.add(thread)
        until = self._until or ExitStack()
        until.callback(self._threads.discard, thread)
        until.enter_context(hooked(hooks))
        with nullcontext() if self._until else until:
            yield

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Let it stay where it stood until this is left: gradients that make activations again need it there."""
        with ExitStack() as self._until:
            try:
                yield
            finally:
                self._until = None

    def _path(self, first: Tensor, second: Tensor, *, chosen: Float[Tensor, " rows"] | None, last: int | None) -> Hook:
        scale = self.config.alpha / self.config.rank

        def add(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            read = inputs[0] if last is None else inputs[0][..., -last:, :]
            narrow = functional.linear(read.to(first.dtype), first)
            narrow = narrow if chosen is None else _of_rows(narrow, chosen)
            return added_to(output, functional.linear(narrow, second), scale=scale)

        return add


@contextmanager
def each_its_own(
    model: PreTrainedModel, adapters: Sequence[SharedAdapter | None], answer_tokens: int = 0
) -> Iterator[None]:
    """Let each row of what a language model reads go through an adapter of its own, or through none."""
    with ExitStack() as entered:
        for adapter in dict.fromkeys(each for each in adapters if each):
            rows = [each is adapter for each in adapters]
            entered.enter_context(adapter.beside(model, answer_tokens, rows=rows))
        yield


def _in_thread(thread: int, hook: Hook) -> Hook:
    """Leave alone what other threads have the model read.

    In a training they are torch's own: on a GPU, activations are computed again in the thread of the backward pass.
    """
    trains = torch.is_grad_enabled()

    def only(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        is_ours = get_ident() == thread or (trains and torch.is_grad_enabled())
        return hook(module, inputs, output) if is_ours else output

    return only


def _of_rows(narrow: Float[Tensor, "..."], chosen: Float[Tensor, " rows"]) -> Float[Tensor, "..."]:
    """Leave out what is added to rows that are not chosen; a query's own rows (beams, or tokens) are neighbours."""
    return (narrow.reshape(len(chosen), -1) * chosen[:, None]).view_as(narrow)


def _shape(linear: nn.Module) -> tuple[int, int]:
    """Give a map's inputs and outputs, however its weight lies or is packed."""
    if isinstance(linear, nn.Linear):
        return linear.in_features, linear.out_features
    return int(linear.nx), int(linear.nf)  # type: ignore[arg-type]  # transformers' Conv1D
