"""Small adapters of all users that change what a language model answers."""

import torch

from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.shared_adapter import SharedAdapter

SMALL = SharedAdapterConfig(rank=2)


def moved(backbone, config=SMALL, **parts):
    """Make an adapter that changes what the language model answers, with a persona and without."""
    adapter = SharedAdapter(backbone.model, config, **parts)
    with torch.no_grad():
        for weight in (*adapter.second, *adapter.persona_second):
            weight.normal_()
    return adapter


def of_the_same_weights(adapter, backbone, **parts):
    """Make another adapter with the weights, and the precision, of one."""
    other = SharedAdapter(backbone.model, adapter.config, **parts).to(adapter.first[0].dtype)
    other.load_state_dict(adapter.state_dict())
    return other
