"""In which precision the frozen language model takes a training's steps: bfloat16 where the processor has it.

The weights that train, their gradients and the loss stay in float32. Answers and likelihoods are computed by the model
as it was loaded.
"""

import logging
from copy import copy, deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from personaplug.backbone.base import Backbone
from personaplug.backbone.tokens import Place
from personaplug.embedder.encoder import has_native_bfloat16

log = logging.getLogger(__name__)

Precision = Literal["auto", "float32", "bfloat16"]

_PROBE = ("Say in a few words what this is about: frozen language models that read one vector more", "why?")
_PROBE_ANSWERS = ("A persona, plugged into a model that stays as it is.", "Because it was asked.")
_PROBE_VECTORS, _PROBE_TOKENS = 4, 32
_LOSS, _COSINE = 0.02, 0.98
"""How far the probe's loss may be off, as a share of it, and how much alike its gradients must be."""


def for_steps(backbone: Backbone, precision: Precision, *, place: Place) -> Backbone:
    """Give the language model that a training's steps go through.

    Args:
        backbone: As it was loaded.
        precision: ``float32`` leaves it so; ``auto`` takes bfloat16 where a processor has it, where the model was
            loaded in float32, and where a probe's loss and gradients come out alike.
        place: Where the vectors will stand.
    """
    is_whole = all(weight.dtype == torch.float32 for weight in backbone.model.parameters())
    if precision == "float32" or not is_whole:
        return backbone
    if precision == "bfloat16":
        return in_bfloat16(backbone, place=place)
    if backbone.device.type != "cpu" or not has_native_bfloat16(backbone.device):
        return backbone
    lower = in_bfloat16(backbone, place=place)
    try:
        is_true = _are_alike(_probe(backbone, place), _probe(lower, place))
    except RuntimeError as error:  # such as of a map that has no kernel for it
        log.info("training steps stay in float32: %s", error)
        return backbone
    return lower if is_true else backbone


def in_bfloat16(backbone: Backbone, *, place: Place) -> Backbone:
    """Copy a language model with weights of bfloat16; its buffers, such as tables of angles, keep their precision."""
    weights = {
        id(weight): nn.Parameter(weight.detach().to(torch.bfloat16), requires_grad=False)
        for weight in backbone.model.parameters()
    }
    lower = copy(backbone)
    lower.model = deepcopy(backbone.model, weights)
    if place == "after" and not lower.model.config.is_encoder_decoder and lower.device.type == "cpu":
        # Few queries over many keys: backward through torch's fused attention takes three times as long in bfloat16.
        lower.model.set_attn_implementation("eager")
    return lower


def _probe(backbone: Backbone, place: Place) -> tuple[Tensor, Tensor]:
    """Give loss and gradients of a few vectors, as long as token embeddings, beside made-up inputs."""
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(len(_PROBE), _PROBE_VECTORS, backbone.dim, generator=draw)
    vectors = backbone.embedding_norm * functional.normalize(vectors, dim=-1).requires_grad_()
    inputs = backbone.embed(_PROBE, max_tokens=_PROBE_TOKENS).with_prefix(vectors, place=place)
    loss = backbone.loss(inputs, _PROBE_ANSWERS, max_tokens=_PROBE_TOKENS)
    (gradient,) = torch.autograd.grad(loss, [vectors])
    return loss.detach(), gradient.flatten()


def _are_alike(exact: tuple[Tensor, Tensor], rounded: tuple[Tensor, Tensor]) -> bool:
    is_close = (rounded[0] - exact[0]).abs() <= _LOSS * exact[0].abs()
    return bool(is_close and functional.cosine_similarity(exact[1], rounded[1], dim=0) >= _COSINE)
