"""Encoder-decoder backbones: T5, FLAN-T5, BART, and the embedded ``nano``."""

from torch import Tensor

from personaplug.plug.backbone import Backbone
from personaplug.plug.tokens import Side, TokenEmbeddings


class EncoderDecoderBackbone(Backbone):
    """The persona stands in the encoder's input; the decoder writes the answer."""

    side: Side = "right"

    def _answer_logits(self, inputs: TokenEmbeddings, labels: Tensor) -> Tensor:
        outputs = self.model(
            inputs_embeds=inputs.embeds,
            attention_mask=inputs.mask.long(),
            decoder_input_ids=self.model.prepare_decoder_input_ids_from_labels(labels),
            use_cache=False,
        )
        logits: Tensor = outputs.logits
        return logits
