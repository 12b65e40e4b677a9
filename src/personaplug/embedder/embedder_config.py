"""What kind of persona to make."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from personaplug.config import option


@dataclass(frozen=True, slots=True)
class EmbedderConfig:
    """What kind of persona to make: :data:`OURS` is what a run takes by default, :data:`PAPER` is the paper's."""

    personas: int = option(4, "encoder: persona vectors, each with an attention of its own")
    place: Literal["before", "inside", "after"] = option(
        "before",
        "where the vectors stand: before the input's words; inside it, behind its words and before what closes it, such"
        " as a chat's header of the answer; or after all of it, right before the answer",
    )
    made_of: Literal["encoder", "outputs", "quotes"] = option(
        "encoder",
        "the encoder's vectors of items; their outputs in the language model's own embeddings, place by place the mean"
        " of all; or quotes: the outputs of those few that are most like the query, word by word",
    )
    quotes: int = option(1, "quotes: items quoted, the likest last")
    output_tokens: int = option(
        5,
        "outputs, quotes: first tokens with a persona vector each; one more is the mean of the rest, or begins a quote",
    )
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
        if not self.temperature > 0 or self.items < 0 or self.quotes < 1:
            what = f"temperature {self.temperature} must be above zero, items {self.items} at least 0"
            raise ValueError(f"{what}, quotes {self.quotes} at least 1")

    @property
    def vectors(self) -> int:
        """How many vectors stand beside the input."""
        return self.instructions + self.persona_vectors

    @property
    def persona_vectors(self) -> int:
        """How many of them are the user's."""
        if not self.reads_outputs:
            return self.personas
        return (self.output_tokens + 1) * (self.quotes if self.made_of == "quotes" else 1 + self.has_mean)

    @property
    def reads_outputs(self) -> bool:
        """Whether the persona is made of the words of outputs."""
        return self.made_of != "encoder"

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
        stands_in = self.nobody == "trained" or (self.nobody == "mean" and self.made_of != "outputs")
        return stands_in or self.is_residual

    @property
    def attentions(self) -> int:
        """How many ways items are weighed by the query: one a persona vector; one for all that are made of outputs."""
        return 1 if self.reads_outputs else self.personas

    @property
    def chooses(self) -> bool:
        """Whether the persona is made of some items alone."""
        return self.items > 0 or self.made_of == "quotes"

    @property
    def weighs(self) -> bool:
        """Whether items weigh by their match with the query; those that are quoted weigh alike."""
        return self.weighting == "attention" and self.made_of != "quotes"

    @property
    def compares(self) -> bool:
        """Whether items' keys are compared with the query, to weigh or to choose them."""
        return self.weighs or self.made_of == "quotes" or (self.items > 0 and self.items_by == "similar")

    @property
    def trains_query_encoder(self) -> bool:
        """Whether a copy of the encoder is trained; where all items weigh alike, no query is asked."""
        return self.weighs and self.query_encoder == "trained"

    @property
    def trains_query_map(self) -> bool:
        """Whether a linear map of a frozen encoder's vectors is trained."""
        return self.weighs and self.query_encoder == "frozen" and self.use_query_map


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
