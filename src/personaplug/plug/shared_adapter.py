"""A low-rank path beside the frozen language model, trained on all users and the same for each: LoRA, arXiv 2106.09685.

It has no user in it: alone it is the control for one adapter a user, as a tuned prompt is for the persona; beside a
persona it is what all users share. The language model's own weights stay as they are.

Beside a persona it has more columns, which read it. Those that it has without one learn as if there were no other: so
whoever has no items is answered as by the control.

By default inputs do not go through it: the frozen model reads them, and it begins where the answer does. So a training
step has few tokens to go back through, and what was read of an input can be kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from personaplug.backbone.attention_maps import Hook, attention_projections
from personaplug.backbone.tokens import TokenEmbeddings
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.folded import Folds
from personaplug.plug.low_rank import Shares, with_low_rank
from personaplug.plug.standing import Standing


class SharedAdapter(nn.Module):
    """Adds ``alpha / rank * B A x`` to what linear maps of a language model make of ``x``, while it is beside them.

    Args:
        model: Whose maps; it is no part of this module.
        config: How large; a rank of at least one.
        closing: Tokens that end every input, one at least; where it reads answers, it reads these too.
        vectors: How many stand behind these or right ahead of them, which it also reads.
        is_apart: Whether as many columns more are for inputs with vectors, and the others learn of inputs without.

    Attributes:
        first: ``A`` of each map, ``[rank, inputs]``, drawn at random.
        second: ``B`` of each map, ``[outputs, rank]``, zero at first: an untrained adapter changes nothing.
        persona_first: ``A`` of the columns that are for inputs with vectors; empty where there are none.
        persona_second: ``B`` of these.
        tail: Tokens and vectors at the end of every input that it reads; None where it reads all that its maps do.

    Raises:
        ConfigError: The model has no attention with linear maps in it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        config: SharedAdapterConfig,
        *,
        closing: int = 1,
        vectors: int = 0,
        is_apart: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        is_decoders = config.reads == "answer" and model.config.is_encoder_decoder
        self.tail = None if is_decoders or config.reads == "all" else closing + vectors
        maps = attention_projections(model, only=config.places)
        if is_decoders:
            maps = {name: each for name, each in maps.items() if "decoder" in name.split(".")}
        self.names = tuple(maps)
        shapes = [_shape(each) for each in maps.values()]
        self.first, self.second = _columns(shapes, config.rank)
        self.persona_first, self.persona_second = _columns(shapes if is_apart else [], config.rank)
        self._standing = Standing()
        self._folds = Folds()

    @property
    def scale(self) -> float:
        """What it adds is multiplied by this."""
        return self.config.alpha / self.config.rank

    @property
    def alone(self) -> list[nn.Parameter]:
        """The matrices that answer without a persona, where others are for one; none where they are the same."""
        return [*self.first, *self.second] if len(self.persona_first) else []

    @property
    def apart(self) -> list[nn.Parameter]:
        """The matrices of the columns that are for a persona alone; none where there are none."""
        return [*self.persona_first, *self.persona_second]

    def joined(self, inputs: TokenEmbeddings, model: PreTrainedModel, *, is_behind: bool) -> TokenEmbeddings:
        """Have it stand beside a language model that reads inputs.

        Args:
            inputs: With all vectors in them.
            model: That of this adapter, or a copy in another precision.
            is_behind: Whether the frozen model reads them by itself as far as the adapter's ``tail``.
        """
        beside = partial(self.beside, model, personal=inputs.has_vectors)
        return replace(inputs, tail=(self.tail or 0) if is_behind else 0, beside=beside)

    @contextmanager
    def beside(
        self,
        model: PreTrainedModel,
        answer_tokens: int = 0,
        *,
        rows: Sequence[bool] | None = None,
        personal: Sequence[bool] | None = None,
    ) -> Iterator[PreTrainedModel]:
        """Stand beside a language model, for what this thread has it read; entered again inside, it stands there once.

        Gives the model that is to read: this one or, for writing answers where all rows go through the same columns, a
        copy that it is folded into.

        Args:
            model: That of this adapter, or a copy in another precision.
            answer_tokens: Of given answers, read behind the inputs in the same pass.
            rows: Which rows of what the model reads go through it, a row's beams with it; None for all.
            personal: Which rows have vectors; None for none.
        """
        if self._standing.is_here:
            yield model
            return
        last = None if self.tail is None else self.tail + answer_tokens
        is_any = personal is not None and (any(personal) or torch.is_grad_enabled())
        has_more = is_any and len(self.persona_first) > 0
        shares = self._shares(rows, personal if has_more else None)
        is_writing = not answer_tokens and not torch.is_grad_enabled()
        if is_writing and shares.read is None and (own := self._folds.of(self, model, personal=has_more)):
            yield own
            return
        paths = [self._path(*matrices, shares=shares, last=last) for matrices in self.columns(personal=has_more)]
        with self._standing.on(zip(map(model.get_submodule, self.names), paths, strict=True)):
            yield model

    def staying(self) -> AbstractContextManager[None]:
        """Let it stay where it stood until this is left: gradients that make activations again need it there."""
        return self._standing.staying()

    def columns(self, *, personal: bool) -> list[tuple[Tensor, Tensor]]:
        """Give each map's two matrices, those for inputs with vectors among them or not."""
        plain = list(zip(self.first, self.second, strict=True))
        if not (personal and len(self.persona_first)):
            return plain
        more = zip(self.persona_first, self.persona_second, strict=True)
        return [(torch.cat([a, c]), torch.cat([b, d], dim=1)) for (a, b), (c, d) in zip(plain, more, strict=True)]

    def _shares(self, rows: Sequence[bool] | None, personal: Sequence[bool] | None) -> Shares:
        """Say which columns each row goes through, and which learn of it."""
        number = self.first[0].new_tensor
        if personal is None:
            return Shares() if rows is None or all(rows) else Shares(self._spread(number(rows)))
        own = number(personal)
        every = torch.ones_like(own) if rows is None else number(rows)
        read, taught = self._spread(every, every * own), self._spread(every * (1 - own), every * own)
        return Shares(read, taught) if torch.is_grad_enabled() or not read.all() else Shares()

    def _spread(self, *shares: Float[Tensor, " rows"]) -> Float[Tensor, "rows rank"]:
        """Say of each column what is said of its kind."""
        return torch.stack(shares, dim=1).repeat_interleave(self.config.rank, dim=1)

    def _path(self, first: Tensor, second: Tensor, *, shares: Shares, last: int | None) -> Hook:
        def add(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            read = inputs[0] if last is None else inputs[0][..., -last:, :]
            return with_low_rank(output, read, first=first, second=second, shares=shares, scale=self.scale)

        return add


def _columns(shapes: Sequence[tuple[int, int]], rank: int) -> tuple[nn.ParameterList, nn.ParameterList]:
    first = nn.ParameterList(torch.empty(rank, inputs) for inputs, _ in shapes)
    second = nn.ParameterList(torch.zeros(outputs, rank) for _, outputs in shapes)
    for weight in first:
        nn.init.kaiming_uniform_(weight, a=sqrt(5))
    return first, second


@contextmanager
def each_its_own(
    model: PreTrainedModel,
    adapters: Sequence[SharedAdapter | None],
    answer_tokens: int = 0,
    *,
    personal: Sequence[bool] | None = None,
) -> Iterator[PreTrainedModel]:
    """Let each row of what a language model reads go through an adapter of its own, or through none.

    Gives the model that is to read, as :meth:`SharedAdapter.beside` does.

    Args:
        model: That of the adapters, or a copy in another precision.
        adapters: One a row.
        answer_tokens: As in :meth:`SharedAdapter.beside`.
        personal: As there.
    """
    with ExitStack() as entered:
        reads = model
        for adapter in dict.fromkeys(each for each in adapters if each):
            rows = [each is adapter for each in adapters]
            reads = entered.enter_context(adapter.beside(model, answer_tokens, rows=rows, personal=personal))
        yield reads


def _shape(linear: nn.Module) -> tuple[int, int]:
    """Give a map's inputs and outputs, however its weight lies or is packed."""
    if isinstance(linear, nn.Linear):
        return linear.in_features, linear.out_features
    return int(linear.nx), int(linear.nf)  # type: ignore[arg-type]  # transformers' Conv1D
