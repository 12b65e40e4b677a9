"""Errors that say what is wrong, where, and what to do about it."""

from pathlib import Path


class PersonaPlugError(Exception):
    """Base of every error a user of personaplug can cause and mend.

    Args:
        message: What is wrong, with the values that show it.
        hint: What the person who meets it can do; empty where nothing helps.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Reach another process as it is: it is made again of what it says, not of what it was made of."""
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[PersonaPlugError], args: tuple[object, ...]) -> PersonaPlugError:
    return kind.__new__(kind, *args)


class DataError(PersonaPlugError):
    """A log, question file or repository that cannot be read as it stands.

    Args:
        message: What is wrong, with the offending value shortened.
        path: The file (or repository) at fault.
        line: The 1-based line or row at fault; None where the whole file is.
        hint: What to do.
    """

    def __init__(self, message: str, *, path: Path | str, line: int | None = None, hint: str = "") -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {message}", hint=hint)


class RepeatedIdError(PersonaPlugError):
    """A user's rows of which two that differ have one id, so that it is open which of them happened.

    Args:
        user_id: Whose.
        item_id: The id.
    """

    def __init__(self, user_id: str, item_id: str) -> None:
        super().__init__(
            f"user {user_id[:40]!r} has two different rows of the id {item_id[:40]!r}",
            hint="give each row an id of its own, or leave the column out: ids are then made from the content",
        )


class ConfigError(PersonaPlugError):
    """A configuration or task file with an unknown key or an impossible value."""


class ProcessLostError(PersonaPlugError):
    """A training on many processes of which one is gone.

    Args:
        processes: How many there were.
    """

    def __init__(self, processes: int) -> None:
        super().__init__(
            f"one of the {processes} processes of this training is gone, and the others stop",
            hint="see above what it said; the same command with --resume goes on from the last checkpoint",
        )


class DownloadError(PersonaPlugError):
    """A language model that cannot be fetched, or is not the one that was asked for."""


class StoreError(PersonaPlugError):
    """A store that is not one, is of another version, or lacks what was asked of it."""


class StoreAwayError(StoreError):
    """A store whose server cannot be reached: nothing that is asked of it can be done until it is back."""


class FingerprintMismatchError(StoreError):
    """A store whose vectors were made by another encoder or from other texts."""


class ClusterError(PersonaPlugError):
    """A Ray cluster that cannot be reached, has no room, or failed at its work."""


class UnknownUserError(StoreError):
    """A user of whom the store holds nothing."""


class StudioError(PersonaPlugError):
    """Something asked of the studio that a person at its page can mend; one sentence, as they read it."""


class MissingExtraError(PersonaPlugError):
    """An optional feature whose packages are not installed.

    Args:
        feature: What was asked for, as a person would say it.
        extra: The extra that brings it, as in ``pip install 'personaplug[extra]'``.
    """

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            hint=f"pip install 'personaplug[{extra}]'",
        )
