"""Training that came to no number: it is stopped before anything of it is saved."""

from torch import Tensor

from personaplug.errors import ConfigError


def check_loss(loss: Tensor | float, *, step: int) -> None:
    """Refuse a loss that is NaN or infinite.

    Raises:
        ConfigError: It is one.
    """
    if not float("-inf") < float(loss) < float("inf"):  # False of a NaN too
        raise ConfigError(
            f"training diverged: the loss of step {step} is {float(loss)}",
            hint="begin anew with smaller learning rates, or with more exact numbers: --set backbone.dtype=float32",
        )
