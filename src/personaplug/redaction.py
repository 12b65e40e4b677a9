"""Errors in a log as far as they may be told: their words may be a user's, so only kind and place are kept."""

import logging
import traceback
from types import TracebackType


class ErrorRedaction(logging.Filter):
    """Leaves of an error its kind and where it happened."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the words out of a record's error."""
        if record.exc_info and record.exc_info[1]:
            kind, _, place = record.exc_info
            record.exc_text = redacted(kind, place)
            record.exc_info = None
        return True


def redacted(kind: type[BaseException] | None, place: TracebackType | None) -> str:
    """Write where an error happened and what kind of error it is."""
    return "".join(traceback.format_tb(place)) + (kind.__name__ if kind else "")
