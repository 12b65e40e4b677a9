"""Turn a query and a user's history into the vectors that stand beside the input: an instruction and a persona."""

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from personaplug.embedder.aggregator import Aggregator, MeanPooling
from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.embedder.history import HistoryBatch
from personaplug.embedder.instruction import InstructionMLP, SoftPrompt
from personaplug.embedder.projector import Projector
from personaplug.embedder.quotes import Quotes
from personaplug.embedder.selection import likest, selected
from personaplug.embedder.wording import WordingProjector


class UserEmbedder(nn.Module):
    """The plug-in user embedder of arXiv 2409.11901, section 3.2, and its extensions.

    Args:
        config: What kind of persona.
        views: Views of an item in the history.
        dim: Dimension of the encoder's vectors.
        llm_dim: Dimension of the language model's embeddings.
        embedding_norm: Mean length of the language model's token embeddings; prefix vectors start with it.
        instructs_all: Whether the instruction is all that those without items have, and so stands there for them.
    """

    def __init__(
        self,
        config: EmbedderConfig,
        *,
        views: int,
        dim: int,
        llm_dim: int,
        embedding_norm: float,
        instructs_all: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.instructs_all = instructs_all
        # Drawn first: of one seed, a residual persona begins as the very vectors of its control, the tuned prompt.
        kind = InstructionMLP if config.instruction_form == "mlp" and config.instructions else SoftPrompt
        self.instruction = kind(config.instructions, llm_dim, norm=embedding_norm)
        self.generic = SoftPrompt(config.persona_vectors, llm_dim, norm=embedding_norm) if config.has_generic else None
        self.aggregator = _aggregator(config)
        self.query_map = QueryMap(config.attentions, dim) if config.trains_query_map else None
        self.projector: Projector | WordingProjector | Quotes
        if config.made_of == "quotes":
            self.projector = Quotes(llm_dim, most=config.quotes)
            return
        if config.made_of == "outputs":
            places = config.output_tokens + 1 if config.nobody == "mean" else None
            made = partial(WordingProjector, llm_dim, norm=embedding_norm, gain=config.gain, places=places)
            self.projector = made()
            if config.has_mean:
                self.mean_projector = made()
            return
        used = views if config.values == "all" else 1
        self.projector = Projector(
            used, dim, llm_dim=llm_dim, normalize=config.normalize, is_centered=config.is_centered
        )
        self.register_buffer("scale", torch.tensor(embedding_norm / self.projector.typical_norm()))
        if config.is_residual:
            # The first persona is the generic one; memories earn their influence.
            for weights in self.projector.outer.parameters():
                nn.init.zeros_(weights)

    def forward(
        self, query: Float[Tensor, "batch dim"], history: HistoryBatch
    ) -> Float[Tensor, "batch prefix llm_dim"]:
        """Make ``[instruction ; persona]``, or the other way round; :meth:`is_there` says which of them are to stand.

        Args:
            query: Unit vectors of the inputs.
            history: The users' encoded items.
        """
        # First, so that its gradients come last, when those of the history no longer need their room.
        instruction = self.instruction(len(query))
        persona = self.persona(query, history)
        return torch.cat(self._in_order(instruction, persona), dim=1)

    def is_there(self, history: HistoryBatch) -> Bool[Tensor, "batch prefix"]:
        """Say which vectors are to stand beside the input: all, or those of which an item says something.

        Without any such item the instruction stands there only where it is all that such users have.

        Args:
            history: Of the items that the persona is made of, as :meth:`chosen` gives them.
        """
        said = self._said(history) if self.config.nobody == "nothing" else torch.ones_like(self._said(history))
        is_any = said.any(dim=1, keepdim=True) | self.instructs_all
        return torch.cat(self._in_order(is_any.expand(-1, self.config.instructions), said), dim=1)

    def _said(self, history: HistoryBatch) -> Bool[Tensor, "batch personas"]:
        """Say of which persona vectors items speak."""
        if history.wording is None:
            return ~history.is_empty[:, None].expand(-1, self.config.persona_vectors)
        if isinstance(self.projector, Quotes):
            return self.projector.is_there(history)
        places = (history.wording.mask & history.mask[:, :, None]).any(dim=1)
        return places.repeat(1, 2 if self.config.has_mean else 1)

    def _in_order(self, instruction: Tensor, persona: Tensor) -> list[Tensor]:
        return [instruction, persona] if self.config.first == "instruction" else [persona, instruction]

    def weights(
        self, query: Float[Tensor, "batch dim"], history: HistoryBatch
    ) -> Float[Tensor, "batch attentions items"]:
        """Say how much each item weighs in each persona vector."""
        queries = (
            query[:, None].expand(-1, self.config.attentions, -1) if self.query_map is None else self.query_map(query)
        )
        chosen = self._visible(query, history)
        if self.config.made_of == "quotes":
            chosen = selected(chosen, query, count=self.config.quotes, by="similar")
        weights: Tensor = self.aggregator(queries, chosen)
        return torch.cat([weights, MeanPooling()(queries, chosen)], dim=1) if self.config.has_mean else weights

    def chosen(self, query: Float[Tensor, "batch dim"], history: HistoryBatch) -> HistoryBatch:
        """Hide the items that the persona is not made of, or take out those that are quoted."""
        chosen = self._visible(query, history)
        return likest(chosen, query, count=self.config.quotes) if self.config.made_of == "quotes" else chosen

    def _visible(self, query: Float[Tensor, "batch dim"], history: HistoryBatch) -> HistoryBatch:
        """Hide the items that the persona may not be made of, and those without a word where it quotes."""
        visible = selected(history, query, count=self.config.items, by=self.config.items_by)
        if self.config.made_of == "quotes" and visible.wording:
            return replace(visible, mask=visible.mask & visible.wording.mask.any(dim=-1))
        return visible

    def persona(
        self, query: Float[Tensor, "batch dim"], history: HistoryBatch
    ) -> Float[Tensor, "batch personas llm_dim"]:
        """Quote items, or sum them up at the size of token embeddings; what none speaks of is generic, or zero."""
        own, is_own = self._own(query, history)
        if self.generic is None:
            return own
        generic = self.generic(len(query))
        if self.config.is_residual:
            own = own + generic
        return torch.where(is_own[:, :, None], own, generic)

    def _own(
        self, query: Float[Tensor, "batch dim"], history: HistoryBatch
    ) -> tuple[Float[Tensor, "batch personas llm_dim"], Bool[Tensor, "batch ..."]]:
        """Give what the histories say, and where they say anything."""
        if isinstance(self.projector, Quotes):
            quoted = self.chosen(query, history)
            return self.projector(quoted), self._said(quoted)
        weights = self.weights(query, history)
        if not isinstance(self.projector, WordingProjector):
            return self.scale * self.projector(weights, history), ~history.is_empty[:, None]
        assert history.wording is not None
        projectors = [self.projector, *([self.mean_projector] if self.config.has_mean else [])]
        ways = zip(projectors, weights.split(1, dim=1), strict=True)
        vectors, is_own = zip(*(projector(each, history.wording) for projector, each in ways), strict=True)
        return torch.cat(vectors, dim=1), torch.cat(is_own, dim=1)


def _aggregator(config: EmbedderConfig) -> Aggregator | MeanPooling:
    if not config.weighs:
        return MeanPooling()
    return Aggregator(
        config.attentions,
        temperature=config.temperature,
        learn_temperature=config.learn_temperature,
        use_recency=config.use_recency,
    )


class QueryMap(nn.Module):
    """One trained linear map a persona vector, in place of a trained copy of the encoder; starts as the identity."""

    def __init__(self, personas: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim).repeat(personas, 1, 1))

    def forward(self, query: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch personas dim"]:
        """Map and bring back to unit length."""
        return functional.normalize(torch.einsum("pde,be->bpd", self.weight, query.float()), dim=-1)
