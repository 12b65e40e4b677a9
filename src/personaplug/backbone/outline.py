"""A language model without its weights: the names and shapes of its parts."""

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel


def outline(settings: PreTrainedConfig) -> PreTrainedModel:
    """Make a model whose weights take no memory, on torch's device ``meta``.

    Args:
        settings: What the model says of itself.
    """
    model: PreTrainedModel
    with torch.device("meta"):
        if settings.is_encoder_decoder:
            model = AutoModelForSeq2SeqLM.from_config(settings, trust_remote_code=False)
        else:
            model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    return model
