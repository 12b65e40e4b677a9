"""Where adapters stand: the linear maps of a language model's attention, whichever family it is of."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from personaplug.errors import ConfigError

Hook = Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]
"""What an adapter does to such a map: of the map, its inputs and its output it gives another output."""

_QUERY_VALUE = frozenset(
    {"q", "v", "q_proj", "v_proj", "q_lin", "v_lin", "query", "value", "query_key_value", "qkv_proj", "c_attn", "Wqkv"}
)
"""What models call their maps of queries and values, alone or in one map with the keys'."""


def attention_projections(
    model: PreTrainedModel, *, only: Literal["attention", "query-value"] = "attention"
) -> dict[str, nn.Module]:
    """Find the linear maps inside a model's attention, by their full names: queries, keys, values, outputs.

    Args:
        model: Of Hugging Face.
        only: All of them, or those that make queries and values, be it with keys in one map.

    Attention is what its class calls so, in every model of Hugging Face (``T5Attention``, ``LlamaAttention``,
    ``BertSelfAttention``); no model is known by its own name here.

    Raises:
        ConfigError: There are none.
    """
    attentions = [name for name, module in model.named_modules() if "Attention" in type(module).__name__]
    found: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and any(name.startswith(f"{each}.") for each in attentions)
        and (only == "attention" or name.rpartition(".")[2] in _QUERY_VALUE)
    }
    if not found:
        raise ConfigError(
            f"{type(model).__name__} has no attention with linear maps for adapters to stand beside ({only})",
            hint="name another language model with --backbone, or --set adapter.places=attention",
        )
    return found


@contextmanager
def hooked(hooks: Sequence[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Let adapters stand on maps, each on its own, until this is left."""
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def added_to(output: Tensor, added: Tensor, *, scale: float = 1.0) -> Tensor:
    """Add what an adapter makes of the last columns that a map reads to what the map makes of these.

    In place where no gradients are wanted: a generation takes many short steps. With gradients, a quantized map may
    give a view that must stay as it is.
    """
    before, added = output.shape[-2] - added.shape[-2], added.to(output.dtype)
    if torch.is_grad_enabled():
        whole = functional.pad(added, (0, 0, before, 0)) if before else added
        return output.add(whole, alpha=scale)
    output[..., before:, :].add_(added, alpha=scale)
    return output
