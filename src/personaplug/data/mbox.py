"""Mail of an mbox file as a log: what somebody wrote, and which subject they gave it.

A row has as ``body`` the plain text that the sender wrote, without quotations and signature, and as ``subject`` the
subject without ``Re:``. A user is a sender, under the pseudonym of the e-mail address. The mails of one conversation
share their subject, which is why the task ``mail-subject`` sets an embargo of a week.

What is doubtful is left out, and the reason told: a sender hidden by a list, a charset that cannot be told, a mail that
came before. So is what has no plain text, as HTML alone.
"""

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path

from personaplug.data.mail_file import read_mails
from personaplug.data.mail_sender import NoSenderError, sender
from personaplug.data.mail_text import UnreadableError, plain_header, plain_text, raw_header
from personaplug.data.own_words import own_words
from personaplug.data.pseudonym import pseudonym
from personaplug.data.skips import OnSkip, ignore
from personaplug.data.times import parse_time

_MARKS = (
    "re|fwd?|fw|aw|antw|antwort|wg|sv|vs|vb|vl|ref|réf|odp|pd|rv|res|enc|rif|ynt|ilt|atb|tr|doorst"
    "|回复|回覆|答复|答覆|转发|轉寄|轉發|отв"
)
_COUNT = r"(?:\s?\[\d+\]|\s?\(\d+\)|\^\d+)?"
_REPLY = re.compile(rf"(?:{_MARKS}){_COUNT}\s?[:：]\s*", re.IGNORECASE)  # noqa: RUF001
# What the standard library raises for nonsense in headers (numbered parameters, charsets), and for parts too deep.
_BROKEN = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
_TAGS = re.compile(r"(?:\[[^\[\]]{1,60}\]\s*)*")


class _UnwantedError(Exception):
    """A mail that is no row; its text says why."""


def read_mbox(path: Path, *, addresses: Collection[str] = (), on_skip: OnSkip = ignore) -> Iterator[dict[str, str]]:
    """Yield a row for each mail: ``id user_id time body subject``.

    Args:
        path: The mbox file, plain or ``.gz``, of which one mail at a time is in memory.
        addresses: Keep only what was sent from these, each a user; empty keeps every sender.
        on_skip: Told why a mail is left out, for each.

    Raises:
        DataError: There is no such file, it is no mbox, or it is cut off.
    """
    wanted = {address.strip().lower() for address in addresses}
    seen: set[int] = set()
    for content in read_mails(path):
        try:
            row = _row(_parsed(content), wanted)
            _note(row, seen)
        except _UnwantedError as reason:
            on_skip(str(reason))
        else:
            yield row


def without_marks(subject: str) -> str:
    """Take ``Re:`` and its like off the start of a subject, also behind the tag of a list."""
    place = 0
    while True:
        tags = _TAGS.match(subject, place)
        mark = _REPLY.match(subject, tags.end() if tags else place)
        if mark is None or _is_a_name(mark[0], subject[mark.end() :]):
            return subject.strip()
        place = mark.start()
        subject = subject[:place] + subject[mark.end() :]


def _is_a_name(mark: str, rest: str) -> bool:
    """Tell whether a mark begins a word, as in "re:Invent": mail programs write it in lower case with a space only."""
    return mark.islower() and mark[-1] == ":" and bool(rest)


def _parsed(content: bytes | None) -> Message:
    if content is None:
        raise _UnwantedError("of more than 64 MiB")
    try:
        return message_from_bytes(content)
    except _BROKEN:
        raise _UnwantedError("too broken to read") from None


def _row(mail: Message, wanted: Collection[str]) -> dict[str, str]:
    try:
        address = sender(mail)
        if wanted and address not in wanted:
            raise _UnwantedError("not sent from a given address")
        subject, text = plain_header(raw_header(mail, "Subject")), plain_text(mail)
        name = raw_header(mail, "Message-ID")
    except NoSenderError as reason:
        raise _UnwantedError(str(reason)) from None
    except _BROKEN:
        raise _UnwantedError("too broken to read") from None
    except UnreadableError:
        raise _UnwantedError("in another charset than they say, which cannot be told") from None
    if text is None:
        raise _UnwantedError("without plain text of their sender")
    subject, body = without_marks(subject), own_words(text)
    if not body or not subject:
        raise _UnwantedError("without words of its own or a subject")
    row = {"user_id": pseudonym(address), "time": _time(mail).isoformat(), "body": body, "subject": subject}
    return {"id": pseudonym(name), **row} if name else row


def _note(row: dict[str, str], seen: set[int]) -> None:
    """Remember a row by a number, and refuse one that came before: archives of several folders hold mails twice."""
    number = hash(row.get("id") or tuple(row.values()))
    if number in seen:
        raise _UnwantedError("that came before, by their Message-ID or content")
    seen.add(number)


def _time(mail: Message) -> datetime:
    try:
        return parse_time(parsedate_to_datetime(raw_header(mail, "Date")))
    except (ValueError, IndexError, TypeError, OverflowError, UnreadableError):
        raise _UnwantedError("without a readable date") from None
