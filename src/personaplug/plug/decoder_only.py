"""Decoder-only backbones: Llama, Qwen, GPT and their kin."""

import torch
from torch import Tensor

from personaplug.plug.backbone import IGNORED, Backbone
from personaplug.plug.tokens import Side, TokenEmbeddings


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
        outputs = self.model(
            inputs_embeds=whole.embeds,
            attention_mask=whole.mask.long(),
            position_ids=whole.position_ids,
            logits_to_keep=labels.shape[1] + 1,
            use_cache=False,
        )
        # The logits before each answer token predict it.
        logits: Tensor = outputs.logits[:, :-1]
        return logits
