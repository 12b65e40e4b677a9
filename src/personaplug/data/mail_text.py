"""What the bytes of a mail's headers and text say, whatever charset they claim.

A charset is believed as far as it can be true: text that is UTF-8 is read as UTF-8, and a charset stands for the larger
one that writers mean by it (https://encoding.spec.whatwg.org/#names-and-labels). Where no claim is true, Western
European text is recognized by its letters. A detector was tried (charset-normalizer 3.5): it was wrong in silence on
10 of 34 mails of a sentence or two. So what is left is unreadable, and said to be.
"""

import codecs
import re
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

LONGEST_HEADER = 8192

_MEANT = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
}
_MANY_BYTES = ("gb", "hz", "big5", "cp9", "shift", "euc", "iso2022", "johab", "utf-16", "utf-32", "utf-7")
_NO_CHARSETS = {"unicode_escape", "raw_unicode_escape", "raw-unicode-escape", "unicode-escape", "punycode", "idna"}
_WESTERN = re.compile("[\x00-\x7fÀ-ÏÑ-ÖØ-Üß-ïñ-öø-üŒœ“”„‘’‚–—…€«»¿¡°§·•´©®™£\xa0]*")  # noqa: RUF001
_ODD_SIGN = re.compile(r"[^\W\d_][¿¡£]|£[^\W\d_]|[^\W\d_][«»][^\W\d_]")  # a letter of another language's charset
_ENCODED = r"=\?[^?\s]+\?[bq]\?.*?\?="
_ENCODED_WORDS = re.compile(rf"{_ENCODED}(?:\s*{_ENCODED})*", re.IGNORECASE)


class UnreadableError(Exception):
    """Bytes whose charset cannot be told."""


def raw_header(mail: Message, name: str) -> str:
    """Give a header on one line, its encoded words as they are; empty where it is absent or absurdly long.

    Raises:
        UnreadableError: It holds bytes whose charset cannot be told.
    """
    raw = next((str(value) for field, value in mail.raw_items() if field.lower() == name.lower()), "")
    if len(raw) > LONGEST_HEADER:
        return ""
    return " ".join(decode(raw.encode("utf-8", "surrogateescape"), None).split())


def plain_header(text: str) -> str:
    """Decode the encoded words of a header (RFC 2047); a word that is not well encoded stays as it is.

    Raises:
        UnreadableError: The charset of one cannot be told.
    """
    return " ".join(_ENCODED_WORDS.sub(lambda found: _decoded(found[0]), text).split())


def plain_text(mail: Message) -> str | None:
    """Give the text that the sender wrote; None where there is none but HTML, attachments or mails of others.

    Raises:
        UnreadableError: The charset of the text cannot be told.
    """
    for part in _own_parts(mail):
        content = _content(part)
        if content.strip():
            text = decode(content, _parameter(part, "charset"))
            is_flowed = (_parameter(part, "format") or "").lower() == "flowed"
            return unflowed(text, delete_space=_parameter(part, "delsp") == "yes") if is_flowed else text
    return None


def unflowed(text: str, *, delete_space: bool = False) -> str:
    """Put the lines of ``format=flowed`` together again (RFC 3676): a line that ends with a space goes on."""
    lines: list[str] = []
    goes_on = False
    for line in text.splitlines():
        own = line.removeprefix(" ")
        if goes_on and not line.startswith(">") and own != "-- ":
            lines[-1] = (lines[-1][:-1] if delete_space else lines[-1]) + own
        else:
            lines.append(own)
        goes_on = own.endswith(" ") and own != "-- " and not line.startswith(">")
    return "\n".join(lines)


def decode(content: bytes, charset: str | None) -> str:
    """Decode bytes of a mail that says it is in a charset, or says nothing.

    Raises:
        UnreadableError: The charset cannot be told.
    """
    meant = _codec(charset)
    for codec in [meant, "utf-8"] if meant.startswith(_MANY_BYTES) else ["utf-8", meant]:
        with suppress(UnicodeError):
            text = content.decode(codec)
            if "\0" not in text:
                return text
    return _western(content)


def _codec(charset: str | None) -> str:
    with suppress(LookupError, ValueError):
        name = codecs.lookup((charset or "").strip().partition("*")[0]).name  # RFC 2231 puts a language after "*"
        codec = _MEANT.get(name, name)
        if codec not in _NO_CHARSETS:
            "".encode(codec)  # refuses what is no text encoding, such as zip
            return codec
    return "utf-8"


def _western(content: bytes) -> str:
    text = content.decode("cp1252", "replace")
    letters = [letter for letter in text if letter.isalpha()]
    is_likely = 3 * sum(letter > "\x7f" for letter in letters) <= len(letters)
    if "\0" in text or not is_likely or not _WESTERN.fullmatch(text) or _ODD_SIGN.search(text):
        raise UnreadableError
    return text


def _decoded(words: str) -> str:
    try:
        parts = decode_header(words)
    except (HeaderParseError, Base64Error, ValueError):
        return words
    return "".join(part if isinstance(part, str) else decode(part, charset) for part, charset in parts)


def _own_parts(mail: Message) -> Iterator[Message]:
    """Yield the parts of plain text, first to last, without attachments and without what stands in attached mails."""
    waiting = [mail]
    while waiting:
        part = waiting.pop()
        if part.is_multipart():
            inner = part.get_payload() if _is_of_the_sender(part) else []
            waiting.extend(reversed([each for each in inner if isinstance(each, Message)]))
        elif part.get_content_type() == "text/plain" and not _is_attached(part):
            yield part


def _is_of_the_sender(part: Message) -> bool:
    return part.get_content_maintype() == "multipart" and part.get_content_subtype() != "digest"


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _is_attached(part: Message) -> bool:
    has_name = _parameter(part, "filename", header="content-disposition") is not None
    return has_name or part.get_content_disposition() == "attachment"


def _parameter(part: Message, name: str, *, header: str = "content-type") -> str | None:
    # RFC 2231 numbers the parts of a parameter and lets each name a charset: on nonsense the library trips.
    with suppress(ValueError, LookupError, TypeError):
        value = part.get_param(name, header=header)
        return value[2] if isinstance(value, tuple) else value
    return None
