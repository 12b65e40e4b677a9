"""Decoder-only backbones: Llama, Qwen, GPT and their kin."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import Cache, DynamicCache

from personaplug.backbone.base import IGNORED, Backbone
from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.kept_inputs import keys_and_values
from personaplug.backbone.tokens import Side, TokenEmbeddings, alone


class DecoderOnlyBackbone(Backbone):
    """Persona, input and answer are one sequence; inputs are padded on the left, so that answers start at one place."""

    side: Side = "left"
    separator = "\n"

    def _answer_logits(self, inputs: TokenEmbeddings, labels: Tensor) -> Tensor:
        answers = self._table(labels.clamp(min=0))
        whole = TokenEmbeddings(
            torch.cat([inputs.embeds, answers.to(inputs.embeds.dtype)], dim=1),
            torch.cat([inputs.mask, labels != IGNORED], dim=1),
            self.side,
        )
        ahead = self._ahead(inputs)
        known = ahead.get_seq_length() if ahead else 0
        with self._reading(inputs, answer_tokens=labels.shape[1]) as model:
            outputs = model(
                inputs_embeds=whole.embeds[:, known:],
                attention_mask=whole.mask.long(),
                position_ids=whole.position_ids[:, known:],
                past_key_values=ahead,
                logits_to_keep=_last(labels.shape[1] + 1, of=whole.embeds.shape[1] - known, device=labels.device),
                use_cache=known > 0,
            )
        # The logits before each answer token predict it.
        logits: Tensor = outputs.logits[:, :-1]
        return logits

    def keep(self, inputs: TokenEmbeddings) -> None:
        """Read inputs once for all training steps to come, as far as their tail."""
        if self.kept is not None:
            first = self._all_but(inputs, inputs.tail)
            self.kept.keep(first, self._read(first))

    def read_ahead(self, inputs: TokenEmbeddings, config: GenerationConfig | None = None) -> TokenEmbeddings:
        """Read inputs once for all that will be asked of them: up to their tail, or to their last token.

        Not where something beside the model reads what has no tail, nor of a model that keeps something else. Nor for
        beams, which share nothing with a likelihood.
        """
        first = self._all_but(inputs, max(1, inputs.tail))
        is_beside = not inputs.tail and inputs.beside is not alone
        if not first.embeds.shape[1] or is_beside or (config and config.strategy == "beam"):
            return inputs
        return replace(inputs, ahead=keys_and_values(self._read(first)))

    def _decoding(self, inputs: TokenEmbeddings, *, longest: int, beams: int = 1) -> dict[str, object]:
        asked = super()._decoding(inputs, longest=longest, beams=beams)
        return asked if inputs.ahead is None or beams > 1 else asked | {"past_key_values": DynamicCache(inputs.ahead)}

    def _ahead(self, inputs: TokenEmbeddings) -> Cache | None:
        """Give what is read of the inputs without what stands behind them, which may come with gradients."""
        if inputs.ahead is not None:
            return DynamicCache(inputs.ahead)
        if not self._may_read_ahead(inputs):
            return None
        first, count = self._all_but(inputs, inputs.tail), len(inputs.embeds) // inputs.times
        first = replace(first, embeds=first.embeds[:count], mask=first.mask[:count])
        read = self._read(first) if self.kept is None else self.kept.cache(first, self._read)
        if inputs.times > 1:
            read.batch_select_indices(torch.arange(count, device=first.mask.device).repeat(inputs.times))
        return read

    def _may_read_ahead(self, inputs: TokenEmbeddings) -> bool:
        """Tell whether gradients are wanted, and none of them reaches what stands before the tail."""
        return (
            torch.is_grad_enabled()
            and inputs.tail > 0
            and not self.model.is_activation_checkpointing  # It keeps no keys and values.
            and not any(weight.requires_grad for weight in self.model.parameters())
        )

    def _all_but(self, inputs: TokenEmbeddings, last: int) -> TokenEmbeddings:
        count = inputs.embeds.shape[1] - last
        return TokenEmbeddings(inputs.embeds[:, :count], inputs.mask[:, :count], self.side)

    @torch.no_grad()
    def _read(self, inputs: TokenEmbeddings) -> Cache:
        outputs = self.model(
            inputs_embeds=inputs.embeds,
            attention_mask=inputs.mask.long(),
            position_ids=inputs.position_ids,
            logits_to_keep=_last(1, of=inputs.embeds.shape[1], device=inputs.embeds.device),
            use_cache=True,
        )
        cache: Cache = outputs.past_key_values
        return cache


def _last(count: int, *, of: int, device: torch.device) -> Int[Tensor, " count"]:
    """Name the last places by their numbers.

    A model cuts these states out side by side, and the head is one matrix product for all rows of a batch. Of a slice,
    which is a view, torch makes one product a row: in bfloat16 with a copy of the head for each.
    """
    return torch.arange(of - count, of, device=device)
