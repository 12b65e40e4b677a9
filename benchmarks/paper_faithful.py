"""The published procedure, written plainly from its equations: the opponent of our speed.

Equations: arXiv 2409.11901, section 3.2; settings: section 4.3 and the published description of the data. Everything
that can be saved is done in full: each item is projected through both layers before the sum, histories are padded to
512 items, inputs to 256 tokens and answers to 128, histories are encoded once a question though users repeat, their
vectors are a float32 table inside the model, each example is trained on in eleven copies, and answers are written one
by one. Nothing is slowed down on purpose: the same torch, the same language model, the same encoder.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from personaplug.backbone.base import IGNORED, Backbone
from personaplug.embedder.encoder import TextEncoder
from personaplug.embedder.instruction import InstructionMLP
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.records import Example, Profile
from personaplug.tasks.task import Task

ITEMS, INPUT_TOKENS, OUTPUT_TOKENS, COPIES = 512, 256, 128, 11


class PublishedEmbedder(nn.Module):
    """``[instruction ; persona]`` from a table of all questions' histories.

    Args:
        like: A :class:`UserEmbedder` of the preset ``paper``, whose weights are taken over.
        histories: Unit vectors of the published view of each question's items, zeros behind the last one.
        counts: Items of each question; a question without any gets NaN, as published.
    """

    def __init__(
        self,
        like: UserEmbedder,
        histories: Float[Tensor, "questions items dim"],
        counts: Int[Tensor, " questions"],
    ) -> None:
        super().__init__()
        assert isinstance(like.instruction, InstructionMLP)
        self.instruction = like.instruction
        self.inner, self.outer = like.projector.inner, like.projector.outer
        self.scale = float(like.scale)
        self.histories: Tensor
        self.mask: Tensor
        self.register_buffer("histories", histories)
        self.register_buffer("mask", torch.arange(histories.shape[1])[None] < counts[:, None])

    def forward(
        self, query: Float[Tensor, "batch dim"], questions: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch prefix llm_dim"]:
        """Make the vectors of these questions."""
        keys = self.histories[questions]
        weights = self.weights(query, keys, self.mask[questions])
        projected = self.outer(functional.gelu(self.inner(keys)))
        persona = self.scale * (weights[:, :, None] * projected).sum(dim=1)
        return torch.cat([self.instruction(len(query)), persona[:, None]], dim=1)

    def weights(
        self,
        query: Float[Tensor, "batch dim"],
        keys: Float[Tensor, "batch items dim"],
        mask: Bool[Tensor, "batch items"],
    ) -> Float[Tensor, "batch items"]:
        """Give the softmax of each item's similarity with the query."""
        similarity = (keys * query[:, None]).sum(dim=-1)
        return similarity.masked_fill(~mask, -torch.inf).softmax(dim=-1)


class PublishedPlug(nn.Module):
    """The embedder, its trained query encoder, and a frozen language model that reads padded inputs.

    Args:
        embedder: Holds the questions' histories.
        query_encoder: The trained copy of the encoder.
        backbone: Lends its model and tokenizer; an encoder-decoder.
        task: Says how inputs become prompts and queries.
    """

    def __init__(
        self, embedder: PublishedEmbedder, query_encoder: TextEncoder, backbone: Backbone, *, task: Task
    ) -> None:
        super().__init__()
        self.embedder = embedder
        self.query_encoder = query_encoder
        self.task = task
        self._lead = backbone.embed([""]).lead
        self._backbone = (backbone,)  # in a tuple: the language model's weights are no part of what is trained

    def loss(self, examples: Sequence[Example], questions: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Give the mean negative log-likelihood of an answer token, in nats."""
        (backbone,) = self._backbone
        embeds, mask = self.inputs(examples, questions)
        answers = backbone.tokenizer(
            [example.target or "" for example in examples],
            add_special_tokens=False, truncation=True, max_length=OUTPUT_TOKENS - 1,
        ).input_ids  # fmt: skip
        labels = torch.full((len(examples), OUTPUT_TOKENS), IGNORED)
        for row, answer in enumerate(answers):
            labels[row, : len(answer) + 1] = torch.tensor([*answer, backbone.tokenizer.eos_token_id])
        outputs = backbone.model(
            inputs_embeds=embeds,
            attention_mask=mask,
            decoder_input_ids=backbone.model.prepare_decoder_input_ids_from_labels(labels.clone()),
            use_cache=False,
        )
        return functional.cross_entropy(outputs.logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED)

    @torch.inference_mode()
    def answer(self, example: Example, question: int, *, beams: int, max_new_tokens: int) -> str:
        """Answer one question by beam search, alone in its batch."""
        (backbone,) = self._backbone
        embeds, mask = self.inputs([example], torch.tensor([question]))
        ids = backbone.model.generate(
            inputs_embeds=embeds,
            attention_mask=mask,
            num_beams=beams,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            pad_token_id=backbone.tokenizer.pad_token_id,
        )
        return str(backbone.tokenizer.decode(ids[0], skip_special_tokens=True)).strip()

    def inputs(self, examples: Sequence[Example], questions: Int[Tensor, " batch"]) -> tuple[Tensor, Tensor]:
        """Put the prefix before padded inputs, behind a start token: ``[batch, tokens, llm_dim]`` and their mask."""
        (backbone,) = self._backbone
        encoded = backbone.tokenizer(
            [self.task.prompt_text(example.input) for example in examples],
            padding="max_length", truncation=True, max_length=INPUT_TOKENS, return_tensors="pt",
        )  # fmt: skip
        query = self.query_encoder.encode_queries([self.task.query_text(example.input) for example in examples])
        prefix = self.embedder(query, questions)
        tokens = backbone.model.get_input_embeddings()(encoded.input_ids)
        embeds = torch.cat([tokens[:, : self._lead], prefix, tokens[:, self._lead :]], dim=1)
        return embeds, torch.cat([torch.ones(prefix.shape[:2], dtype=torch.long), encoded.attention_mask], dim=1)


def encode_histories(
    examples: Sequence[Example], task: Task, *, encoder: TextEncoder
) -> tuple[Float[Tensor, "questions items dim"], Int[Tensor, " questions"]]:
    """Encode the history of each question anew, whoever asked it: the table of vectors, and how many are real."""
    released = task.as_published()
    table = torch.zeros(len(examples), ITEMS, encoder.dim)
    counts = torch.zeros(len(examples), dtype=torch.long)
    for row, example in enumerate(examples):
        items = example.profile.latest(ITEMS).items
        table[row, : len(items)] = encoder.encode([released.view_texts(item)[0] for item in items])
        counts[row] = len(items)
    return table, counts


def eleven_copies(examples: Sequence[Example], *, seed: int) -> list[Example]:
    """Write each example, then ten more times with a random half to all but one of its items where it has over two."""
    draw = random.Random(seed)
    return [copy for example in examples for copy in (example, *_parts(example, draw))]


def _parts(example: Example, draw: random.Random) -> list[Example]:
    return [_part(example, draw) for _ in range(COPIES - 1)] if len(example.profile.items) > 2 else []


def _part(example: Example, draw: random.Random) -> Example:
    items = example.profile.items
    kept = sorted(draw.sample(range(len(items)), draw.randint(len(items) // 2, len(items) - 1)))
    return replace(example, profile=Profile(example.profile.user_id, tuple(items[place] for place in kept)))
