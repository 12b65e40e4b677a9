"""Who wrote a mail: the address of a person, and never that of a list which sent it on in their name."""

import re
from email.message import Message
from email.utils import getaddresses

from personaplug.data.mail_text import plain_header, raw_header

_AT = re.compile(r"(?<=[\w.+-]) ?(?: at |\(at\)|\[at\]) ?(?=[\w-]+(?:\.[\w-]+)+)")
_VIA = re.compile(r"\bvia\b\s+\S|^'.+' via ")
_LIST_HEADERS = ("List-Post", "X-BeenThere", "Mailing-List")
_BEFORE_THE_LIST = ("X-Original-From", "Reply-To")


class NoSenderError(Exception):
    """A mail of which nobody can be said to be the sender; its text says why."""


def sender(mail: Message) -> str:
    """Give the address of who wrote a mail, in lower case.

    Archives write ``ada at example.org``. A list that rewrites ``From`` (its address, a name such as "Ada via dev")
    leaves the address in ``X-Original-From``, in ``Reply-To`` or as ``ada=example.org@list``.

    Raises:
        NoSenderError: There is none, there are several, or a list hides who it was.
        UnreadableError: A header's charset cannot be told.
    """
    addresses = _addresses(mail, "From")
    if not addresses:
        raise NoSenderError("without a sender")
    if len(addresses) > 1:
        raise NoSenderError("of several senders")
    address = addresses[0]
    if _is_of_a_list(mail, address):
        return _behind_the_list(mail, address)
    if address.partition("@")[0].endswith("..."):
        raise NoSenderError("whose sender's address is not shown in full")
    return address


def _is_of_a_list(mail: Message, address: str) -> bool:
    own = {each for name in _LIST_HEADERS for each in _addresses(mail, name)}
    is_renamed = _VIA.search(plain_header(raw_header(mail, "From"))) is not None
    return is_renamed or address in own or bool(raw_header(mail, "X-Original-From"))


def _behind_the_list(mail: Message, address: str) -> str:
    lists = {address} | {each for name in _LIST_HEADERS for each in _addresses(mail, name)}
    for name in _BEFORE_THE_LIST:
        people = [each for each in _addresses(mail, name) if each not in lists]
        if len(people) == 1:
            return people[0]
    local, equals, domain = address.partition("@")[0].rpartition("=")
    if equals and "." in domain:
        return f"{local}@{domain}"
    raise NoSenderError("sent by a list in somebody's name")


def _addresses(mail: Message, name: str) -> list[str]:
    text = raw_header(mail, name).replace("<mailto:", "<")
    written = [text if "@" in text else _AT.sub("@", text)]
    found = (address.lower() for _, address in getaddresses(written))
    return sorted({address for address in found if re.fullmatch(r"[^@\s]+@[^@\s]+", address)})
