"""What is fitted to one user, beside a trained plug: each a module whose weights change nothing as they begin.

A change takes part where an answer is read: in the tokens that close an input, the plug's vectors, and the answer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from personaplug.backbone.attention_maps import Hook, added_to, attention_projections, hooked
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.plug.model import PersonaPlug

_ALPHA = 16.0
"""What an adapter of rank r adds is multiplied by this, over r."""


class Change(nn.Module):
    """Something about one user that a language model answers with."""

    def joined(self, inputs: TokenEmbeddings) -> TokenEmbeddings:
        """Have it stand beside the language model where it reads the end of inputs."""

        @contextmanager
        def beside(answer_tokens: int) -> Iterator[None]:
            with inputs.beside(answer_tokens), hooked(self.hooks(inputs.tail, answer_tokens)):
                yield

        return replace(inputs, beside=beside)

    def hooks(self, tail: int, answer_tokens: int) -> Sequence[tuple[nn.Module, Hook]]:
        """Say what is done to which module; of its columns the last ``tail + answer_tokens`` are the change's."""
        raise NotImplementedError


class Vectors(Change):
    """The plug's vectors, moved."""

    def __init__(self, plug: PersonaPlug) -> None:
        super().__init__()
        self.moved = nn.Parameter(torch.zeros(plug.run.vectors, plug.backbone.dim))

    def joined(self, inputs: TokenEmbeddings) -> TokenEmbeddings:
        """Move those vectors that are there."""
        count = len(self.moved)
        own = self.moved.to(inputs.embeds.dtype) * inputs.mask[:, -count:, None]
        return replace(inputs, embeds=torch.cat([inputs.embeds[:, :-count], inputs.embeds[:, -count:] + own], dim=1))


class KeysAndValues(Change):
    """The keys and values that each layer makes of the plug's vectors, moved: prefix tuning, arXiv 2101.00190.

    In models of Llama's architecture, as :class:`Residual`.
    """

    def __init__(self, plug: PersonaPlug) -> None:
        super().__init__()
        maps = attention_projections(plug.backbone.model).items()
        self._maps: list[Any] = [each for name, each in maps if name.endswith(("k_proj", "v_proj"))]
        self.moved = nn.ParameterList(torch.zeros(plug.run.vectors, each.out_features) for each in self._maps)

    def hooks(self, tail: int, answer_tokens: int) -> Sequence[tuple[nn.Module, Hook]]:
        """Move what the maps of keys and values make of the vectors, which stand right before the answer."""
        del tail
        moves = zip(self._maps, self.moved, strict=True)
        return [(each, partial(_padded, moved=moved, behind=answer_tokens)) for each, moved in moves]


class Residual(Change):
    """A vector a layer, added to the residual stream behind it."""

    def __init__(self, plug: PersonaPlug) -> None:
        super().__init__()
        self._layers = list(plug.backbone.model.get_submodule("model.layers").children())
        self.added = nn.ParameterList(torch.zeros(plug.backbone.dim) for _ in self._layers)

    def hooks(self, tail: int, answer_tokens: int) -> Sequence[tuple[nn.Module, Hook]]:
        """Add to what each layer gives."""
        last = tail + answer_tokens
        return [
            (each, partial(_added, last=last, made=added)) for each, added in zip(self._layers, self.added, strict=True)
        ]


class Gates(Change):
    """Gates and shifts on the low-rank path that all users share: two numbers for each of its ranks and maps."""

    def __init__(self, plug: PersonaPlug) -> None:
        super().__init__()
        shared = plug.adapter
        assert shared is not None, "the command refuses a run without one"
        maps = [plug.backbone.model.get_submodule(name) for name in shared.names]
        columns = [[each.detach() for each in pair] for pair in shared.columns(personal=True)]
        self._parts = [(each, *pair) for each, pair in zip(maps, columns, strict=True)]
        self._scale = shared.config.alpha / shared.config.rank
        self.gates, self.shifts = (nn.Parameter(torch.zeros(len(maps), len(columns[0][0]))) for _ in range(2))

    def hooks(self, tail: int, answer_tokens: int) -> Sequence[tuple[nn.Module, Hook]]:
        """Add ``B (g * (A x) + b)`` to what the shared path adds."""
        last = tail + answer_tokens

        def made(at: int, first: Tensor, second: Tensor, read: Tensor) -> Tensor:
            narrow = functional.linear(read.float(), first)
            return self._scale * functional.linear(self.gates[at] * narrow + self.shifts[at], second)

        parts = enumerate(self._parts)
        return [(each, partial(_made_of, last=last, make=partial(made, at, *pair))) for at, (each, *pair) in parts]


class LowRank(Change):
    """An adapter of the user's own, beside the shared one: LoRA, arXiv 2106.09685."""

    def __init__(self, plug: PersonaPlug, *, rank: int) -> None:
        super().__init__()
        self._maps: list[Any] = list(attention_projections(plug.backbone.model).values())
        self.first = nn.ParameterList(_drawn(rank, each.in_features) for each in self._maps)
        self.second = nn.ParameterList(torch.zeros(each.out_features, rank) for each in self._maps)
        self._scale = _ALPHA / rank

    def hooks(self, tail: int, answer_tokens: int) -> Sequence[tuple[nn.Module, Hook]]:
        """Add ``B A x`` to what each map of the attention makes of ``x``."""
        last = tail + answer_tokens

        def made(first: Tensor, second: Tensor, read: Tensor) -> Tensor:
            return self._scale * functional.linear(functional.linear(read.float(), first), second)

        parts = zip(self._maps, self.first, self.second, strict=True)
        return [(each, partial(_made_of, last=last, make=partial(made, *pair))) for each, *pair in parts]


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of change.

    Attributes:
        name: In tables.
        begin: Makes one that changes nothing yet.
        rates: Learning rates to choose from.
    """

    name: str
    begin: Callable[[PersonaPlug], Change]
    rates: tuple[float, ...]


FORMS = (
    Form("vectors, moved", Vectors, (3e-2, 1e-1)),
    Form("keys and values of each layer", KeysAndValues, (3e-2, 1e-1)),
    Form("a vector a layer", Residual, (1e-2, 3e-2)),
    Form("gates and shifts", Gates, (1e-1, 3e-1)),
    Form("adapter of rank 1", partial(LowRank, rank=1), (1e-3, 3e-3)),
    Form("adapter of rank 8", partial(LowRank, rank=8), (1e-3, 3e-3)),
)


def _drawn(rank: int, inputs: int) -> Tensor:
    return nn.init.kaiming_uniform_(torch.empty(rank, inputs), a=sqrt(5))


def _padded(_: nn.Module, _inputs: tuple[Any, ...], output: Tensor, *, moved: Tensor, behind: int) -> Tensor:
    whole = functional.pad(moved, (0, 0, output.shape[-2] - len(moved) - behind, behind))
    return output + whole.to(output.dtype)


def _added(_: nn.Module, _inputs: tuple[Any, ...], output: Tensor, *, last: int, made: Tensor) -> Tensor:
    return added_to(output, made.expand(last, -1))


def _made_of(
    _: nn.Module, inputs: tuple[Any, ...], output: Tensor, *, last: int, make: Callable[[Tensor], Tensor]
) -> Tensor:
    return added_to(output, make(inputs[0][..., -last:, :]))
