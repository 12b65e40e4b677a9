"""Turn a query and a user's history into the vectors that stand beside the input: an instruction and a persona."""

from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from personaplug.config import option
from personaplug.embedder.aggregator import Aggregator, MeanPooling
from personaplug.embedder.history import HistoryBatch
from personaplug.embedder.instruction import InstructionMLP, SoftPrompt
from personaplug.embedder.projector import Projector
from personaplug.embedder.selection import selected
from personaplug.embedder.wording import WordingProjector


@dataclass(frozen=True, slots=True)
class EmbedderConfig:
    """What kind of persona to make: :data:`OURS` is what a run takes by default, :data:`PAPER` is the paper's."""

    personas: int = option(4, "encoder: persona vectors, each with an attention of its own")
    place: Literal["before", "after"] = option(
        "before", "where the vectors stand: before the input, or after it, right before the answer"
    )
    made_of: Literal["encoder", "outputs"] = option(
        "encoder", "the encoder's vectors of items, or their outputs in the language model's own embeddings"
    )
    output_tokens: int = option(5, "outputs: first tokens with a persona vector each; one more is the mean of the rest")
    gain: float = option(0.0, "outputs: how much of their mean embeddings the persona starts with")
    with_mean: bool = option(False, "outputs: as many vectors again, of all items alike, whatever the query")
    nobody: Literal["trained", "mean", "nothing"] = option(
        "trained",
        "what stands where no item says anything: a trained vector; the mean of all users (outputs); or nothing, and"
        " for a user without items no instruction either, if there is an adapter of all users",
    )
    first: Literal["instruction", "persona"] = option("instruction", "which of them stands first")
    instructions: int = option(1, "trained vectors that are the same for every user")
    instruction_form: Literal["vectors", "mlp"] = option(
        "vectors", "trained directly, or through an MLP as in the paper"
    )
    values: Literal["all", "first"] = option(
        "all", "views of an item the persona is made of: all, or the attention's own"
    )
    query_encoder: Literal["frozen", "trained"] = option(
        "frozen", "train a copy of the encoder for queries, or a linear map"
    )
    use_query_map: bool = option(True, "train that map; without it nothing of a frozen query encoder learns")
    items: int = option(0, "most items of a history that the persona is made of; 0 for all that the task shows")
    items_by: Literal["latest", "similar"] = option("latest", "which: the latest, or those most like the query")
    weighting: Literal["attention", "mean"] = option(
        "attention", "an item weighs by its match with the query, or as much as any other"
    )
    temperature: float = option(0.125, "similarities are divided by this before the softmax")
    learn_temperature: bool = option(True, "train the temperature")
    use_recency: bool = option(True, "train a preference for recent items")
    normalize: bool = option(True, "give item vectors zero mean and unit variance before the projector")
    is_centered: bool = option(True, "the persona is made of how a history differs from what all have in common")
    is_residual: bool = option(True, "the history moves a trained generic persona, rather than replacing it")

    def __post_init__(self) -> None:
        if self.personas < 1 or self.instructions < 0:
            raise ValueError(f"{self.personas} personas and {self.instructions} instructions: need at least 1 and 0")
        if self.output_tokens < 1 or not isfinite(self.gain):
            raise ValueError(f"output_tokens {self.output_tokens} must be at least 1, gain {self.gain} a number")
        if not self.temperature > 0 or self.items < 0:
            raise ValueError(f"temperature {self.temperature} must be above zero, items {self.items} at least 0")

    @property
    def vectors(self) -> int:
        """How many vectors stand beside the input."""
        return self.instructions + self.persona_vectors

    @property
    def persona_vectors(self) -> int:
        """How many of them are the user's."""
        return self.personas if self.made_of == "encoder" else (self.output_tokens + 1) * (1 + self.has_mean)

    @property
    def persona_places(self) -> slice:
        """Where among all vectors the user's stand."""
        start = 0 if self.first == "persona" else self.instructions
        return slice(start, start + self.persona_vectors)

    @property
    def has_mean(self) -> bool:
        """Whether a part of the persona is the same whatever the query."""
        return self.made_of == "outputs" and self.with_mean

    @property
    def has_generic(self) -> bool:
        """Whether a trained persona stands beside the user's, or where there is none."""
        stands_in = self.nobody == "trained" or (self.nobody == "mean" and self.made_of == "encoder")
        return stands_in or self.is_residual

    @property
    def attentions(self) -> int:
        """How many ways items are weighed by the query: one a persona vector; one for all that are made of outputs."""
        return self.personas if self.made_of == "encoder" else 1

    @property
    def trains_query_encoder(self) -> bool:
        """Whether a copy of the encoder is trained; where all items weigh alike, no query is asked."""
        return self.weighting == "attention" and self.query_encoder == "trained"

    @property
    def trains_query_map(self) -> bool:
        """Whether a linear map of a frozen encoder's vectors is trained."""
        return self.weighting == "attention" and self.query_encoder == "frozen" and self.use_query_map


OURS = EmbedderConfig(
    place="after",
    made_of="outputs",
    with_mean=True,
    gain=1.0,
    output_tokens=5,
    instructions=0,
    temperature=0.03,
    is_residual=False,
    nobody="nothing",
    first="persona",
)
"""How the user's outputs begin and go on, by likeness to the query and on the whole: what carries a person best."""

PAPER = EmbedderConfig(
    place="before",
    made_of="encoder",
    personas=1,
    instructions=1,
    instruction_form="mlp",
    values="first",
    query_encoder="trained",
    temperature=1.0,
    learn_temperature=False,
    use_recency=False,
    normalize=False,
    is_centered=False,
    is_residual=False,
)


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
        if config.made_of == "outputs":
            places = config.output_tokens + 1 if config.nobody == "mean" else None
            made = partial(WordingProjector, llm_dim, norm=embedding_norm, gain=config.gain, places=places)
            self.projector: Projector | WordingProjector = made()
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
        persona = self.persona(self.weights(query, history), history)
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
        chosen = self.chosen(query, history)
        weights: Tensor = self.aggregator(queries, chosen)
        return torch.cat([weights, MeanPooling()(queries, chosen)], dim=1) if self.config.has_mean else weights

    def chosen(self, query: Float[Tensor, "batch dim"], history: HistoryBatch) -> HistoryBatch:
        """Hide the items that the persona is not made of."""
        return selected(history, query, count=self.config.items, by=self.config.items_by)

    def persona(
        self, weights: Float[Tensor, "batch attentions items"], history: HistoryBatch
    ) -> Float[Tensor, "batch personas llm_dim"]:
        """Sum the projected items, scaled to the size of token embeddings; what none speaks of is generic, or zero."""
        own, is_own = self._own(weights, history)
        if self.generic is None:
            return own
        generic = self.generic(len(weights))
        if self.config.is_residual:
            own = own + generic
        return torch.where(is_own[:, :, None], own, generic)

    def _own(
        self, weights: Float[Tensor, "batch attentions items"], history: HistoryBatch
    ) -> tuple[Float[Tensor, "batch personas llm_dim"], Bool[Tensor, "batch ..."]]:
        """Give what the histories say, and where they say anything."""
        if not isinstance(self.projector, WordingProjector):
            return self.scale * self.projector(weights, history), ~history.is_empty[:, None]
        assert history.wording is not None
        projectors = [self.projector, *([self.mean_projector] if self.config.has_mean else [])]
        ways = zip(projectors, weights.split(1, dim=1), strict=True)
        vectors, is_own = zip(*(projector(each, history.wording) for projector, each in ways), strict=True)
        return torch.cat(vectors, dim=1), torch.cat(is_own, dim=1)


def _aggregator(config: EmbedderConfig) -> Aggregator | MeanPooling:
    if config.weighting == "mean":
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
