"""How far a training is, and what it came to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputsRead:
    """What is kept of a training's inputs, in place of reading them at each draw.

    Attributes:
        inputs: Different inputs whose keys and values are kept.
        queries: Training queries.
        bytes: What they take.
        seconds: What reading them once took, in this training or in the other.
        was_read_before: Whether another training had read them: they were found in a file.
        found: Inputs that steps found read already, counted at each draw since the start or the last resume.
    """

    inputs: int = 0
    queries: int = 0
    bytes: int = 0
    seconds: float = 0.0
    was_read_before: bool = False
    found: int = 0


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far training is.

    Attributes:
        step: Steps done.
        steps: Steps in all.
        loss: The latest logged loss on training queries, in nats a token; None before the first.
        dev_loss: The latest on dev queries; None before the first.
    """

    step: int
    steps: int
    loss: float | None
    dev_loss: float | None

    @property
    def summary(self) -> str:
        """Say the losses shortly."""
        losses = (("loss", self.loss), ("dev", self.dev_loss))
        return "  ".join(f"{name} {value:.3f}" for name, value in losses if value is not None)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training came to.

    Attributes:
        steps: Steps done, those before an interruption included.
        dev_loss: Of the weights kept, in nats a token; None where there are no dev queries.
        seconds: Wall time of this process's share, queries encoded before the first step included; loading is not.
            Inputs that another training had read count as if they had been read here.
        precision: Of the frozen language model in the steps.
        inputs_read: What of the inputs was kept.
    """

    steps: int
    dev_loss: float | None
    seconds: float
    precision: str = "float32"
    inputs_read: InputsRead = InputsRead()

    @property
    def summary(self) -> str:
        """Say it in a line."""
        dev = "" if self.dev_loss is None else f", {self.dev_loss:.3f} nats a token on dev"
        return f"{self.steps:,} steps in {self.seconds:.0f} s{dev}"
