"""Products in the precision of what is given, whatever a caller's autocast says."""

import torch


def without_autocast(device: torch.device) -> torch.autocast:
    """Let no caller's autocast mix precisions."""
    return torch.autocast(device.type, enabled=False)
