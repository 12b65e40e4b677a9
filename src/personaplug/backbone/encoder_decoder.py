"""Encoder-decoder backbones: T5, FLAN-T5, BART."""

import torch
from torch import Tensor

from personaplug.backbone.base import Backbone
from personaplug.backbone.beams import BeamSearch, candidates
from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.tokens import Side, TokenEmbeddings

_PLAIN = {
    "bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id",
    "use_cache", "output_attentions", "output_hidden_states", "transformers_version",
}  # fmt: skip
"""Settings of a model for generation that say nothing about which answer is the best."""


class EncoderDecoderBackbone(Backbone):
    """The persona stands in the encoder's input; the decoder writes the answer."""

    side: Side = "right"

    @torch.inference_mode()
    def generate(self, inputs: TokenEmbeddings, config: GenerationConfig | None = None) -> list[str]:
        """Answer a batch of inputs."""
        if config is None or config.strategy != "beam" or inputs.mixed or not self._searches_plainly(config):
            return super().generate(inputs, config)
        with self._reading(inputs) as model:
            found = BeamSearch(model, inputs, beams=config.beams, ends=self._ends).run(most=config.max_new_tokens)
        return [self._decode(tokens).strip() for tokens in found]

    def _answer_logits(self, inputs: TokenEmbeddings, labels: Tensor) -> Tensor:
        with self._reading(inputs, answer_tokens=labels.shape[1]) as model:
            outputs = model(
                inputs_embeds=inputs.embeds,
                attention_mask=inputs.mask.long(),
                decoder_input_ids=self.model.prepare_decoder_input_ids_from_labels(labels),
                use_cache=False,
            )
        logits: Tensor = outputs.logits
        return logits

    def _searches_plainly(self, config: GenerationConfig) -> bool:
        """Tell whether the model has neither rules of its own for answers nor adapters that belong to rows."""
        settings = self.model.generation_config
        named = {name for name in settings.to_diff_dict() if not name.startswith("_")}
        return (
            named <= _PLAIN
            and isinstance(settings.decoder_start_token_id, int)
            and candidates(config.beams, self._ends) <= self._table.num_embeddings
            and not self.has_own_rows
        )
