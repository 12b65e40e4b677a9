"""Answering with a persona, against the same language model without, and against four retrieved items in the prompt."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from uuid import uuid4

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.speed.effort import Effort
from benchmarks.speed.language_models import word_pieces
from benchmarks.speed.row import Row, Target
from benchmarks.speed.turns import in_turn
from benchmarks.speed.world import World, open_world
from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.backbone.decoder_only import DecoderOnlyBackbone
from personaplug.methods.persona_plug import PlugMethod
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval import with_items, without_items
from personaplug.plug.model import PersonaPlug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.retrievers import by_words
from personaplug.records import Example

K, BATCHES, ANSWER_TOKENS = 4, (1, 8, 32), 16
AT_LEAST = 4
"""Queries a turn: a batch of one asks them one by one, for one alone would decide by its length."""
ITEM_TOKENS = 64
"""Where retrieved items are cut, our default. Four beside an input of 256 tokens are 512 to read, against 261 with a
persona: hardly twice as many."""
LARGER_ANSWERS = 16
"""Asked of the larger model on a side, for each takes seconds; but two turns at least."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama: width, that of its inner layers, their number, and its heads."""

    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head: int


TOY = Shape(width=32, inner=96, layers=2, heads=1, key_heads=1, head=32)
QWEN_06B = Shape(width=1024, inner=3072, layers=28, heads=16, key_heads=8, head=128)
"""As Qwen3-0.6B."""
LLAMA_1B = Shape(width=2048, inner=8192, layers=16, heads=32, key_heads=8, head=64)
"""As Llama-3.2-1B."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Which model answers what.

    Attributes:
        name: The model's.
        plug: On it.
        examples: Asked in a turn.
        size: Of them at once.
        pairs: Turns of each side.
        tokens: Of each answer.
    """

    name: str
    plug: PersonaPlug
    examples: Sequence[Example]
    size: int
    pairs: int
    tokens: int = ANSWER_TOKENS

    @property
    def at(self) -> str:
        """Say what is answered by what."""
        return f"{self.name}, batch {self.size}"


def measure(effort: Effort) -> Iterator[Row]:
    """Measure batches of 1, 8 and 32 on a small T5, and on one whose size is nearer to those in use."""
    with open_world("dev", queries=4 if effort.is_quick else 32, is_quick=effort.is_quick) as world:
        small = world.plug(query_source=QuerySource.STORE)
        larger = world.plug_on(random_llama(TOY if effort.is_quick else QWEN_06B), like=small)
        for size in BATCHES:
            if size <= len(world.examples):
                examples = world.examples[: max(size, AT_LEAST)]
                few = min(effort.pairs, max(2, LARGER_ANSWERS // len(examples)))
                yield from answering_rows(world, Answering("random T5", small.eval(), examples, size, effort.pairs))
                yield from answering_rows(world, Answering("random Llama", larger.eval(), examples, size, few))


def answering_rows(world: World, answering: Answering) -> Iterator[Row]:
    """Measure both ratios; every answer has as many tokens, so that none is faster by saying less."""
    plug, examples, size, pairs = answering.plug, answering.examples, answering.size, answering.pairs
    plug.backbone.model.generation_config.min_new_tokens = answering.tokens
    persona = PlugMethod("plug", plug, GenerationConfig(max_new_tokens=answering.tokens))
    plain = _plain(world, plug, generation=persona.generation)
    asked, bare = _asking(persona, examples, size=size), _asking(plain, examples, size=size)
    slower = in_turn(asked, bare, pairs=pairs)
    old = [_anew(example) for example in examples]  # as long as new ones
    seen = in_turn(_asking(persona, old, size=size, is_new=False), bare, pairs=pairs)
    millions = sum(weight.numel() for weight in plug.backbone.model.parameters()) / 1e6
    words = f"{world.log.name}, {answering.name} of {millions:.0f} M weights, {answering.tokens} new tokens"
    details = slower.details(is_slowdown=True) | {"ratio_where_the_query_is_known": median(seen.slowdowns)}
    name, limit = f"persona against none: {answering.at}", Target("at most", 1.05)
    yield Row(name, words, median(slower.slowdowns), "x as long", limit, details)
    retrieved = with_items(plain, world.log.task, retriever=by_words(world.log.task), k=K, item_tokens=ITEM_TOKENS)
    faster = in_turn(asked, _asking(retrieved, examples, size=size), pairs=pairs)
    name = f"persona against {K} items of {ITEM_TOKENS} tokens: {answering.at}"
    yield Row(name, words, median(faster.ratios), "x", Target("at least", 2.0), faster.details())


def random_llama(shape: Shape, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Backbone:
    """Build a decoder-only model of random weights and our encoder's words."""
    tokenizer = word_pieces()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        head_dim=shape.head,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device(device):
        model = LlamaForCausalLM(config)
    return DecoderOnlyBackbone(model.to(dtype), tokenizer)


def _plain(world: World, plug: PersonaPlug, *, generation: GenerationConfig) -> Prompted:
    training = plug.run.training
    limits = {"max_input_tokens": training.max_input_tokens, "max_output_tokens": training.max_output_tokens}
    return without_items("plain", world.log.task, backbone=plug.backbone, generation=generation, **limits)


def _asking(
    method: PlugMethod | Prompted, examples: Sequence[Example], *, size: int, is_new: bool = True
) -> Callable[[], object]:
    """Ask each time what nobody has asked before, so that no query's vector is known; or always the same."""

    def work() -> None:
        for first in range(0, len(examples), size):
            batch = examples[first : first + size]
            method.respond([_anew(example) for example in batch] if is_new else batch)

    return work


def _anew(example: Example) -> Example:
    return replace(example, input=f"{uuid4().hex[:4]} {example.input}")
