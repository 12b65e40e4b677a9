"""A frozen language model of which each process holds a part: FSDP2, as torch has it (``fully_shard``).

Its layers are cut in as many parts as there are processes, and put together again, one layer at a time, while it reads.
Tables of embeddings and the head stay whole, since inputs and outputs of items are looked up there outside the model.
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

from dataclasses import replace
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from personaplug.backbone.base import Backbone
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.errors import ConfigError

_WHOLE = "--set training.shards_backbone=false"


def load_part(config: BackboneConfig, *, device: str) -> Backbone:
    """Load a language model into main memory, and keep this process's part of it on its device.

    Args:
        config: Which; not a quantized one.
        device: Where to compute.

    Raises:
        ConfigError: It cannot be loaded, or has no layers that can be cut.
    """
    if config.quantization != "none":
        raise ConfigError("a quantized language model is not cut into parts", hint=_WHOLE)
    dtype: Any = str(config.torch_dtype(device)).removeprefix("torch.")
    backbone = load_backbone(replace(config, dtype=dtype), device="cpu")
    cut(backbone, device=torch.device(device))
    return backbone


def cut(backbone: Backbone, *, device: torch.device) -> None:
    """Leave each process of the group its part of a language model's layers; the rest goes to the device whole.

    Raises:
        ConfigError: The model does not say which modules are its layers.
    """
    layers = _layers(backbone)
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    inside = {module for layer in layers for module in layer.modules()}
    for module in (each for each in backbone.model.modules() if each not in inside):
        for weight in module.parameters(recurse=False):
            weight.data = weight.data.to(device)
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))


def _layers(backbone: Backbone) -> list[nn.Module]:
    """Find the modules that the model's makers name as those that are not to be divided."""
    names = set(backbone.model._no_split_modules or ())
    found = [module for module in backbone.model.modules() if type(module).__name__ in names]
    if not found:
        raise ConfigError(f"{type(backbone.model).__name__} does not say which of its modules are layers", hint=_WHOLE)
    return found
