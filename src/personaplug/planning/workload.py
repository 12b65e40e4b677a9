"""What is asked of a plan: how many users do what, on which language model."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from personaplug.errors import ConfigError

Engine = Literal["vllm", "local"]
ItemsBy = Literal["bm25", "dense"]

BYTES_A_WEIGHT = 2
"""Language models answer in bfloat16."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a language model; by default those of Llama-3.1-8B.

    Attributes:
        weights: All of them.
        layers: Its layers.
        width: Of its states.
        key_width: Of the keys, and of the values, that a layer keeps of a token.
    """

    weights: float = 8.03e9
    layers: float = 32
    width: float = 4096
    key_width: float = 1024

    def __post_init__(self) -> None:
        attention = self.layers * self.width * 2 * (self.width + self.key_width)
        if self.weights < attention:
            raise ConfigError(
                f"{self.layers:,.0f} layers of width {self.width:,.0f} have {attention:,.0f} weights in attention: "
                f"more than the {self.weights:,.0f} of the whole model",
                hint="give --weights, --layers, --width and --key-width of one model: its config.json has them",
            )

    @property
    def size(self) -> float:
        """Bytes of the weights."""
        return BYTES_A_WEIGHT * self.weights

    @property
    def bytes_a_token(self) -> float:
        """Bytes of the keys and values that are kept of a token while an answer is written."""
        return 2 * BYTES_A_WEIGHT * self.layers * self.key_width

    def adapter_weights(self, rank: float) -> float:
        """Count a LoRA's weights beside the attention's four maps, each between two widths."""
        return rank * self.layers * (6 * self.width + 2 * self.key_width)


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked.

    Attributes:
        users: How many.
        items: Of each user, in the mean.
        views: Texts of an item that the encoder reads.
        dim: Of a vector.
        input_tokens: Of a question, and of an item's input.
        answer_tokens: Of an answer, and of an item's output.
        requests: A day.
        new_items: A day, of all users.
        peak: Requests a second at the busiest time, over the mean of a day.
        skew: Exponent of Zipf's law, by which users ask.
        memory: Bytes of a server's memory for what it keeps of users.
        persona_vectors: Behind the input.
        k: Items in a prompt, for the way with items.
        item_tokens: Of an item in a prompt.
        items_by: How they are found.
        rank: Of a user's adapter.
        epochs: Passes over a history, in training a user's adapter.
        training_queries: Which the plug is trained on, each once.
        model: The language model.
        batch: Answers written at once.
        engine: What writes them.
        gpu_memory: Bytes of one GPU.
    """

    users: float
    items: float
    views: float = 2
    dim: float = 384
    input_tokens: float = 256
    answer_tokens: float = 32
    requests: float = 0
    new_items: float = 0
    peak: float = 3
    skew: float = 0.8
    memory: float = 512e6
    persona_vectors: float = 12
    k: float = 4
    item_tokens: float = 64
    items_by: ItemsBy = "bm25"
    rank: float = 8
    epochs: float = 3
    training_queries: float = 3_200
    model: ModelShape = field(default_factory=ModelShape)
    batch: float = 32
    engine: Engine = "vllm"
    gpu_memory: float = 80e9

    def __post_init__(self) -> None:
        for name, value in self._numbers():
            if not isfinite(value) or value < 0:
                raise ConfigError(f"{name} must be a number of zero or more, not {value}")
        for name in ("users", "items", "requests", "views", "dim", "peak", "input_tokens", "answer_tokens", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.k > self.items:
            raise ConfigError(
                f"{self.k:,.0f} items in a prompt are more than the {self.items:,.0f} that a user has",
                hint="a smaller --k",
            )

    def _numbers(self) -> list[tuple[str, float]]:
        return [(name, value) for name in self.__slots__ if isinstance(value := getattr(self, name), float | int)]

    @property
    def all_items(self) -> float:
        """Items of all users."""
        return self.users * self.items

    @property
    def example_tokens(self) -> float:
        """Tokens of an item, in training."""
        return self.input_tokens + self.answer_tokens

    @property
    def peak_rate(self) -> float:
        """Requests a second at the busiest time."""
        return self.requests / 86_400 * self.peak
