"""A language model without its weights: the names and shapes of its parts."""

from threading import Lock

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel

_ALONE = Lock()
"""Torch notes the device of a ``with`` for the whole process: two at once would leave it noted when both are done."""


def outline(settings: PreTrainedConfig) -> PreTrainedModel:
    """Make a model whose weights take no memory, on torch's device ``meta``.

    Args:
        settings: What the model says of itself.
    """
    model: PreTrainedModel
    with _ALONE, torch.device("meta"):
        if settings.is_encoder_decoder:
            model = AutoModelForSeq2SeqLM.from_config(settings, trust_remote_code=False)
        else:
            model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    return model
