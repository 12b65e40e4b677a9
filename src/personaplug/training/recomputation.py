"""Less memory for more time: activations of a frozen model are computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


@contextmanager
def recomputing(model: PreTrainedModel, *, enabled: bool, has_dropout: bool = False) -> Iterator[None]:
    """Recompute the activations of a model's layers, with the same numbers; on leaving, it is in evaluation mode again.

    Args:
        model: In evaluation mode.
        enabled: False to change nothing.
        has_dropout: Whether each step has the model in training mode anyway, its dropout on.
    """
    if not enabled:
        yield
        return
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer) and not has_dropout:
            # Layers recompute only in training. The flag alone, not `train()`, leaves the dropout inside them off.
            layer.training = True
            _silence(layer)
    try:
        yield
    finally:
        model.gradient_checkpointing_disable()
        model.eval()


def _silence(layer: GradientCheckpointingLayer) -> None:
    """Set the dropout of a layer's own forward pass to nothing (BART's has some)."""
    for name, value in list(vars(layer).items()):
        if "dropout" in name and isinstance(value, float):
            setattr(layer, name, 0.0)
