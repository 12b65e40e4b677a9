"""How long an input and an answer may be, by a language model's configuration alone."""

from transformers import PreTrainedConfig


def input_positions(config: PreTrainedConfig, *, answer_tokens: int) -> int | None:
    """Say how many positions a language model has for an input; None for any number.

    A decoder-only model reads the answer, of at most ``answer_tokens``, behind the input: they share its positions.
    """
    count: int | None = getattr(getattr(config, "encoder", config), "max_position_embeddings", None)
    return count if count is None or config.is_encoder_decoder else count - answer_tokens


def answer_positions(config: PreTrainedConfig, *, input_tokens: int) -> int | None:
    """Say how many positions a language model has for an answer to so long an input; None for any number."""
    count: int | None = getattr(getattr(config, "decoder", config), "max_position_embeddings", None)
    if count is None:
        return None
    # An encoder-decoder's answer has positions of its own, the first of which takes the start token.
    return count - (1 if config.is_encoder_decoder else input_tokens)
