"""How an answer is decoded."""

from dataclasses import dataclass
from typing import Literal

from personaplug.config import option


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How to decode an answer."""

    strategy: Literal["greedy", "beam", "sample"] = option("greedy", "greedy, beam search, or sampling")
    beams: int = option(4, "beams, for beam search")
    temperature: float = option(1.0, "for sampling: below 1 is safer, above is wilder")
    top_p: float = option(0.95, "for sampling: the smallest set of tokens with this probability")
    max_new_tokens: int = option(48, "longest answer")
    seed: int = option(0, "for sampling")

    def __post_init__(self) -> None:
        if self.beams < 1 or self.max_new_tokens < 1:
            raise ValueError(f"beams {self.beams} and max_new_tokens {self.max_new_tokens} must be at least 1")
        if not self.temperature > 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature} must be above 0, top_p {self.top_p} above 0 and at most 1"
            )
