"""How large an adapter of all users is, what it reads, and how it learns."""

from dataclasses import dataclass
from typing import Literal

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
    learns: Literal["auto", "apart", "both", "with"] = option(
        "auto",
        "apart: answers without a persona, as tuned-lora does, and in as many columns more those with one; both: the"
        " same columns learn both; with: with a persona alone; auto: apart where it reads answers alone, else both",
    )

    def __post_init__(self) -> None:
        if self.rank < -1 or not self.alpha > 0:
            raise ValueError(f"rank {self.rank} must be at least 0, or -1, alpha {self.alpha} above zero")
