"""Answering a batch of eight users, each through a LoRA adapter of their own, against the bare language model."""

from collections.abc import Iterator
from copy import deepcopy
from statistics import median

import torch

from benchmarks.speed.answering import TOY, Shape, random_llama
from benchmarks.speed.effort import Effort
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.errors import ConfigError
from personaplug.models.places import located
from personaplug.rivals.user_lora.adapters import LoraConfig, UserAdapters, Weights

USERS, INPUT_TOKENS, ANSWER_TOKENS = 8, 96, 32
SMOLLM2 = Shape(width=576, inner=1536, layers=30, heads=9, key_heads=3, head=64)
"""As SmolLM2-135M."""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure one batch; every answer has as many tokens, so that none is faster by saying less."""
    name, bare = language_model(is_quick=effort.is_quick)
    bare.model.generation_config.min_new_tokens = ANSWER_TOKENS
    adapted = deepcopy(bare)
    adapters = UserAdapters(adapted, LoraConfig())
    known = {f"user {number}": _random(adapters.start, seed=number) for number in range(USERS)}

    def ours() -> None:
        with adapters.answering(list(known), known):
            _answer(adapted)

    turns = in_turn(ours, lambda: _answer(bare), pairs=effort.pairs)
    millions = sum(weight.numel() for weight in bare.model.parameters()) / 1e6
    words = f"{name} of {millions:.0f} M weights, inputs of {INPUT_TOKENS} tokens, {ANSWER_TOKENS} new tokens"
    figure, details = median(turns.slowdowns), turns.details(is_slowdown=True)
    yield Row(f"adapters of {USERS} users against none", words, figure, "x as long", Target("at most", 1.3), details)


def language_model(*, is_quick: bool) -> tuple[str, Backbone]:
    """Take smollm2 where it is at hand, else random weights of its shape; toy ones to try things out."""
    if is_quick:
        return "random Llama", random_llama(TOY)
    try:
        located("smollm2")
    except ConfigError:
        return "random Llama", random_llama(SMOLLM2)
    return "smollm2", load_backbone(BackboneConfig("smollm2", dtype="float32", use_chat_template=True))


def _random(start: Weights, *, seed: int) -> Weights:
    draw = torch.Generator().manual_seed(seed)
    return {name: tensor + 0.01 * torch.randn(tensor.shape, generator=draw) for name, tensor in start.items()}


def _answer(backbone: Backbone) -> None:
    texts = [f"{number} {'the quick brown fox ' * INPUT_TOKENS}" for number in range(USERS)]
    inputs = backbone.embed(texts, max_tokens=INPUT_TOKENS)
    backbone.generate(inputs, GenerationConfig(max_new_tokens=ANSWER_TOKENS))
