"""What every further user costs, measured: ``cost.json`` in a run folder, for who compares scores to read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

from personaplug.config import from_mapping
from personaplug.errors import ConfigError, DataError
from personaplug.files import write_text

COST_FILE = "cost.json"


@dataclass(frozen=True, slots=True)
class UserCost:
    """Seconds and bytes of the users who have something of their own.

    Attributes:
        users: Who have an adapter.
        without_history: Users without: there was nothing to train on.
        history_items: Mean number of items trained on.
        seconds_a_user: Mean wall time of training.
        median_seconds_a_user: The median of the same.
        longest_seconds: The most for one user.
        seconds: Of all users together, and of what they start from; a resumed run counts what was trained before.
        bytes_a_user: Mean size on disk.
        bytes: Of all users together.
        machine: What it ran on.
        adaptation_seconds: Of what all users start from.
    """

    users: int
    without_history: int
    history_items: float
    seconds_a_user: float
    median_seconds_a_user: float
    longest_seconds: float
    seconds: float
    bytes_a_user: float
    bytes: int
    machine: str
    adaptation_seconds: float = 0.0

    @property
    def summary(self) -> str:
        """Say it in a line."""
        each = f"{self.seconds_a_user:.1f} s and {self.bytes_a_user / 1e6:.2f} MB a user"
        return f"{self.users:,} users' adapters, {each}"

    @classmethod
    def of(
        cls,
        *,
        items: Sequence[int],
        seconds: Sequence[float],
        sizes: Sequence[int],
        users: int,
        machine: str,
        adaptation_seconds: float = 0.0,
    ) -> "UserCost":
        """Sum up.

        Args:
            items: Trained on, one number a user with history; ``seconds`` and ``sizes`` (bytes) likewise.
            seconds: Wall time.
            sizes: Bytes on disk.
            users: All users, those without history too.
            machine: What it ran on.
            adaptation_seconds: Wall time of what was trained before all users.
        """
        return cls(
            users=len(items),
            without_history=users - len(items),
            history_items=fmean(items or [0]),
            seconds_a_user=fmean(seconds or [0.0]),
            median_seconds_a_user=median(seconds or [0.0]),
            longest_seconds=max(seconds, default=0.0),
            seconds=adaptation_seconds + float(sum(seconds)),
            bytes_a_user=fmean(sizes or [0]),
            bytes=sum(sizes),
            machine=machine,
            adaptation_seconds=adaptation_seconds,
        )

    def write(self, folder: Path) -> None:
        """Write :data:`COST_FILE` into a run folder."""
        write_text(folder / COST_FILE, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: Path) -> "UserCost":
        """Read a run folder's costs.

        Raises:
            DataError: There are none, or somebody has written into them.
        """
        path = folder / COST_FILE
        try:
            return from_mapping(cls, json.loads(path.read_bytes()), where="the costs")
        except FileNotFoundError:
            raise DataError("there is no such file", path=path, hint="train the run to its end") from None
        except (ConfigError, json.JSONDecodeError, UnicodeDecodeError, RecursionError, AttributeError) as error:
            raise DataError(f"not the costs of a run: {error}", path=path, hint="train the run again") from error
