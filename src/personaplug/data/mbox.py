"""Mail of an mbox file as a log: what somebody wrote, and which subject they gave it.

A row has as ``body`` the plain text that the sender wrote, without quotations and signature, and as ``subject`` the
subject without ``Re:``. A user is a sender, under the pseudonym of the e-mail address. The mails of one conversation
share their subject, which is why the task ``mail-subject`` sets an embargo of a week.
"""

import mailbox
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path

from personaplug.data.pseudonym import pseudonym
from personaplug.data.rows import check_is_file
from personaplug.data.skips import OnSkip, ignore
from personaplug.data.times import parse_time
from personaplug.errors import DataError

_REPLY = re.compile(r"((re|fwd?|aw|wg|sv|vs|antw|tr)(\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_ENDS = re.compile(r"^(-- ?|-{2,}\s*(original|forwarded) message\s*-{2,}.*)$", re.MULTILINE | re.IGNORECASE)
_ATTRIBUTION = re.compile(r"^On\b[^\n]*(\n(?!>)[^\n]+)?\bwrote:[ \t]*(?=\n>|\n\s*\n>|\s*\Z)", re.MULTILINE)


class _UnwantedError(Exception):
    """A mail that is no row; its text says why."""


def read_mbox(path: Path, *, addresses: Collection[str] = (), on_skip: OnSkip = ignore) -> Iterator[dict[str, str]]:
    """Yield a row for each mail: ``id user_id time body subject``.

    Args:
        path: The mbox file, of which one mail at a time is in memory.
        addresses: Keep only what was sent from these, each a user; empty keeps every sender.
        on_skip: Told why a mail is left out, for each.

    Raises:
        DataError: There is no such file, or it is no mbox.
    """
    check_is_file(path)
    wanted = {address.strip().lower() for address in addresses}
    box = mailbox.mbox(path, create=False)
    try:
        if not len(box):
            raise DataError("holds no mail", path=path, hint='in an mbox file each mail begins with a line "From ..."')
        for key in box.iterkeys():
            try:
                yield _row(message_from_bytes(box.get_bytes(key)), wanted)
            except _UnwantedError as reason:
                on_skip(str(reason))
    finally:
        box.close()


def own_words(text: str) -> str:
    """Keep of a mail's text what its sender wrote: no quotations, no signature, no forwarded mail."""
    text = "\n".join(line.rstrip() for line in text.splitlines())
    text = _ATTRIBUTION.sub("", _ENDS.split(text, maxsplit=1)[0])
    return "\n".join(line for line in text.splitlines() if not line.startswith(">")).strip()


def _row(mail: Message, wanted: Collection[str]) -> dict[str, str]:
    address = parseaddr(_header(mail, "From"))[1].lower()
    if "@" not in address:
        raise _UnwantedError("without a sender")
    if wanted and address not in wanted:
        raise _UnwantedError("not sent from a given address")
    body, subject = own_words(_plain_text(mail)), _REPLY.sub("", _header(mail, "Subject"), count=1)
    if not body or not subject:
        raise _UnwantedError("without words of its own or a subject")
    row = {"user_id": pseudonym(address), "time": _time(mail).isoformat(), "body": body, "subject": subject}
    name = _header(mail, "Message-ID")
    return {"id": pseudonym(name), **row} if name else row


def _time(mail: Message) -> datetime:
    try:
        return parse_time(parsedate_to_datetime(_header(mail, "Date")))
    except (ValueError, IndexError):
        raise _UnwantedError("without a readable date") from None


def _header(mail: Message, name: str) -> str:
    """Read a header on one line, its encoded words decoded; empty where it is absent."""
    raw = next((value for field, value in mail.raw_items() if field.lower() == name.lower()), "")
    text = " ".join(str(raw).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
    with suppress(HeaderParseError):
        # decode_header gives what stands between encoded words as raw-unicode-escape, without a charset
        words = decode_header(text)
        text = "".join(w if isinstance(w, str) else _decode(w, c or "raw-unicode-escape") for w, c in words)
    return " ".join(text.split())


def _plain_text(mail: Message) -> str:
    for part in mail.walk():
        if part.get_content_type() == "text/plain" and part.get_content_disposition() != "attachment":
            content = part.get_payload(decode=True)
            return _decode(content, part.get_content_charset()) if isinstance(content, bytes) else ""
    return ""


def _decode(content: bytes, charset: str | None) -> str:
    try:
        return content.decode(charset or "utf-8", "replace")
    except (LookupError, UnicodeError):
        return content.decode("utf-8", "replace")
