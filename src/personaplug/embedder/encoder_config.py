"""Which encoder, and what a fingerprint tells of the one that made vectors which are there."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from personaplug.config import option

DIGEST = 12
"""Characters of a fingerprint that tell a model's weights from all others."""
_LAYER = re.compile(r"\|mean of layer (\d+)")


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Which encoder, and how its states become one vector."""

    model: str = option(
        "minilm", "a Hugging Face name or folder, or a language model: as for a backbone; minilm comes with personaplug"
    )
    revision: str = option("", "branch, tag or commit on the hub; empty for the default")
    pooling: Literal["auto", "mean", "cls"] = option(
        "auto", "mean over tokens, or the first token's state; auto: as the model's folder says, else mean"
    )
    query_prefix: str = option("", "put before a query, never before a history item")
    max_tokens: int = option(256, "longer texts are cut")
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "auto: that of the store's vectors, else bfloat16 where it is native and true to float32"
    )
    layer: int = option(
        0, "of a language model: its layers that a text goes through; 0: as the store's vectors, else half of them"
    )

    def __post_init__(self) -> None:
        if self.layer < 0:
            raise ValueError(f"layer {self.layer} must be at least 1, or 0 for the middle one")

    @property
    def name(self) -> str:
        """The model's name in fingerprints: what stands behind the last slash of its whole name."""
        return Path(self.model).name

    def as_in(self, fingerprint: str) -> "EncoderConfig":
        """Settle what is open as the vectors of a store have it, which may come from another machine.

        That is a precision of ``auto``, and the layer of a language model where the vectors are of one of this name.
        """
        stored: Literal["float32", "bfloat16"] = "bfloat16" if fingerprint.endswith("|bfloat16") else "float32"
        layer = layer_in(fingerprint) if named_in(fingerprint) == self.name else 0
        return replace(
            self,
            precision=stored if self.precision == "auto" else self.precision,
            layer=self.layer or layer,
        )


BGE = EncoderConfig(
    model="BAAI/bge-base-en-v1.5",
    pooling="cls",
    query_prefix="Represent this sentence for searching relevant passages: ",
    max_tokens=512,
)


def named_in(fingerprint: str) -> str:
    """Give the model's name in a fingerprint: what stands behind the last slash of its whole name."""
    return fingerprint.rpartition("@")[0]


def layer_in(fingerprint: str) -> int:
    """Give the layer of a language model that vectors of a fingerprint are states of; 0 for those of other encoders."""
    found = _LAYER.match(fingerprint, fingerprint.rfind("@") + 1 + DIGEST)
    return int(found[1]) if found else 0
