"""What the users of a batch wrote before, for a copy head to look through."""

from collections.abc import Sequence

from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.written import Written
from personaplug.plug.output_tokens import OutputTokens
from personaplug.records import Profile


class WrittenOutputs:
    """Read the outputs of histories.

    Args:
        outputs: Reads one.
        config: How much of them is looked through, and how.
    """

    def __init__(self, outputs: OutputTokens, config: CopyingConfig) -> None:
        self.outputs = outputs
        self.config = config

    def __call__(self, profiles: Sequence[Profile]) -> Written:
        """Read the histories of at least one user."""
        each = [self.outputs.ended([item.output for item in profile.items]) for profile in profiles]
        config = self.config
        return Written.pack([Written.of(outputs, order=config.order, most=config.tokens) for outputs in each])
