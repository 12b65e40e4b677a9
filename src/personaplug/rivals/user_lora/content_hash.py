"""What decides an adapter's weights, as a hash: an adapter on disk of the same is not trained again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor

from personaplug.rivals.user_lora.adapters import LoraConfig
from personaplug.rivals.user_lora.run import UserLoraConfig

_UNSAID = {("reads", "all"), ("precision", "float32")}
"""What held before there was a word for it: hashes do not say it."""


@dataclass(frozen=True, slots=True)
class AdapterContent:
    """All that decides one adapter's weights.

    Attributes:
        config: Of the run, as its file has it: from any folder a run is resumed from, its language model is the same.
        prompts: What the language model reads in training.
        targets: What the user answered.
        max_input_tokens: Longer prompts are cut at their end.
        weights: What the adapter starts from, and what stays under it.
    """

    config: UserLoraConfig
    prompts: tuple[str, ...]
    targets: tuple[str, ...]
    max_input_tokens: int
    weights: tuple[Mapping[str, Tensor], ...]

    @property
    def hash(self) -> str:
        """Hash the settings by their fields, so that a class may be called anything."""
        config = self.config
        settings = {name: _said(getattr(config, name)) for name in ("backbone", "adapter", "training")}
        return self._hash([settings, self.max_input_tokens, self.prompts, self.targets])

    def is_of(self, hashed: str) -> bool:
        """Tell whether a hash is of this, in today's way or in that of before, which had the classes' names in it."""
        return hashed == self.hash or (_is_of_before(self.config) and hashed == self._hash(self._said_before()))

    def _said_before(self) -> list[Any]:
        config, adapter = self.config, self.config.adapter
        parts = {"BackboneConfig": config.backbone, "LoraConfig": adapter, "UserTrainingConfig": config.training}
        settings = ", ".join(_as_repr(name, part) for name, part in parts.items())
        is_plain = adapter == LoraConfig(rank=adapter.rank, alpha=adapter.alpha)
        beside = [] if is_plain else [adapter.places, adapter.dropout]
        return [f"({settings})", self.max_input_tokens, self.prompts, *beside, self.targets]

    def _hash(self, said: list[Any]) -> str:
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for weights in self.weights:
            for name in sorted(weights):
                digest.update(weights[name].float().numpy().tobytes())
        return digest.hexdigest()


def _is_of_before(config: UserLoraConfig) -> bool:
    return {("reads", config.adapter.reads), ("precision", config.training.precision)} == _UNSAID


def _said(part: Any) -> dict[str, Any]:  # noqa: ANN401 (any dataclass)
    """Write down a part of the settings, without what there was no word for and is as it was."""
    return {name: value for name, value in asdict(part).items() if (name, value) not in _UNSAID}


def _as_repr(name: str, part: Any) -> str:  # noqa: ANN401 (any dataclass)
    """Write a dataclass as its repr was when it had this name."""
    return f"{name}({', '.join(f'{each.name}={getattr(part, each.name)!r}' for each in fields(part) if each.repr)})"
