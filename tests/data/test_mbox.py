"""Sent mail as a log."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data.mbox import own_words, read_mbox
from personaplug.errors import DataError

HEADERS = {
    "From": "Ada Lovelace <Ada@Example.org>",
    "To": "bob@example.org",
    "Subject": "Owls",
    "Date": "Wed, 01 May 2024 14:00:00 +0200",
}


def make_mail(body=b"Dear Bob,\nan owl.", **headers):
    fields = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    return b"From ada@example.org Wed May  1 14:00:00 2024\n" + head.encode() + b"\n" + body + b"\n\n"


@pytest.fixture
def mbox(tmp_path):
    """A writer of mbox files that gives back the path."""

    def write(*mails):
        (tmp_path / "Sent.mbox").write_bytes(b"".join(mails))
        return tmp_path / "Sent.mbox"

    return write


def test_a_mail_becomes_a_row(mbox):
    assert list(read_mbox(mbox(make_mail(Message_ID="<1@example.org>")))) == [
        {
            "id": "c0723f335f03",  # printf '<1@example.org>' | sha256sum
            "user_id": "cfe00dde46ef",  # printf ada@example.org | sha256sum
            "time": "2024-05-01T12:00:00+00:00",
            "body": "Dear Bob,\nan owl.",
            "subject": "Owls",
        }
    ]


def test_only_mail_from_the_given_addresses_is_kept(mbox):
    path = mbox(make_mail(), make_mail(From="bob@example.org", Subject="Hens"), make_mail(From="eve@example.org"))
    assert len({row["user_id"] for row in read_mbox(path)}) == 3
    reasons = []
    kept = list(read_mbox(path, addresses=["BOB@example.org "], on_skip=reasons.append))
    assert [row["subject"] for row in kept] == ["Hens"]
    assert reasons == ["not sent from a given address"] * 2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Re: Owls", "Owls"),
        ("RE: Fwd: re[2]: Owls", "Owls"),
        ("Results: Owls", "Results: Owls"),
        ("=?utf-8?q?=C3=9Cber_Eulen?=", "Über Eulen"),
        ("=?utf-8?b?8J+miQ==?= and\n =?iso-8859-1?q?H=FChner?=", "🦉 and Hühner"),
        ("Raw ütf-8", "Raw ütf-8"),
        ("Raw 🦉, =?utf-8?q?then?= not ü", "Raw 🦉, then not ü"),
        ("=?nonsense?q?Owls=FF?=", "Owls\ufffd"),
        ("=?utf-8?b?x?=", "=?utf-8?b?x?="),
    ],
)
def test_a_subject_is_decoded_and_has_no_reply_marks(written, read, mbox):
    assert next(read_mbox(mbox(make_mail(Subject=written))))["subject"] == read


@pytest.mark.parametrize(
    ("charset", "encoding", "body"),
    [
        ("utf-8", "8bit", "Über 🦉".encode()),
        ("utf-8", "base64", b"w5xiZXIg8J+miQ=="),
        ("utf-8", "quoted-printable", b"=C3=9Cber =F0=9F=\n=A6=89"),
        ("nonsense", "8bit", "Über 🦉".encode()),
    ],
)
def test_a_body_is_decoded(charset, encoding, body, mbox):
    mail = make_mail(body, Content_Type=f"text/plain; charset={charset}", Content_Transfer_Encoding=encoding)
    assert next(read_mbox(mbox(mail)))["body"] == "Über 🦉"


def test_the_plain_part_of_a_mail_of_several_is_read(mbox):
    parts = [
        b"Content-Type: text/plain\nContent-Disposition: attachment\n\nattached",
        b"Content-Type: text/html\n\n<p>html</p>",
        b"Content-Type: text/plain\n\nplain",
    ]
    body = b"".join(b"--x\n" + part + b"\n" for part in parts) + b"--x--"
    assert next(read_mbox(mbox(make_mail(body, Content_Type='multipart/mixed; boundary="x"'))))["body"] == "plain"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Mine.\n\n> theirs\n>> more\nMine again.", "Mine.\n\nMine again."),
        ("Mine.\n\nOn 1 May 2024, Bob wrote:\n> theirs", "Mine."),
        ("Mine.\n\nOn Wed, 1 May 2024 at 12:00, Bob Longname\n<bob@example.org> wrote:\n\n> theirs", "Mine."),
        ("On owls I wrote: nothing yet.\nMine.", "On owls I wrote: nothing yet.\nMine."),
        ("Mine.\n-- \nAda\nPhone", "Mine."),
        ("Mine.\r\n\r\n--\r\nAda", "Mine."),
        ("Mine -- really.\n--no", "Mine -- really.\n--no"),
        ("Mine.\n-----Original Message-----\nFrom: Bob\ntheirs", "Mine."),
        ("> all theirs", ""),
    ],
)
def test_only_the_words_of_the_sender_are_kept(text, kept):
    assert own_words(text) == kept


def test_line_ends_of_the_other_world_are_read(mbox):
    mail = make_mail(b"One.\nTwo.").replace(b"\n", b"\r\n")
    assert next(read_mbox(mbox(mail)))["body"] == "One.\nTwo."


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        (make_mail(From=None), "without a sender"),
        (make_mail(From="nobody"), "without a sender"),
        (make_mail(Subject=None), "without words of its own or a subject"),
        (make_mail(Subject="Re:"), "without words of its own or a subject"),
        (make_mail(b"> theirs"), "without words of its own or a subject"),
        (make_mail(b"<p>html</p>", Content_Type="text/html"), "without words of its own or a subject"),
        (make_mail(Date=None), "without a readable date"),
        (make_mail(Date="soon"), "without a readable date"),
        (make_mail(Date="Wed, 99 May 2024 14:00:00 +0200"), "without a readable date"),
    ],
)
def test_a_mail_that_is_no_row_is_left_out_with_its_reason(mail, reason, mbox):
    reasons = []
    assert len(list(read_mbox(mbox(mail, make_mail()), on_skip=reasons.append))) == 1
    assert reasons == [reason]


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_no_mail_however_broken_stops_the_reading(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "any.mbox"
    broken = [b"From x\n" + piece + b"\n\n" + piece + b"\n\n" for piece in pieces]
    fields = [
        make_mail(piece, Content_Type="text/plain").replace(b"Owls", piece).replace(b"01 May", piece)
        for piece in pieces
    ]
    path.write_bytes(make_mail() + b"".join(broken + fields) + make_mail(Subject="last"))
    rows = list(read_mbox(path))
    assert (rows[0]["subject"], rows[-1]["subject"]) == ("Owls", "last")


@pytest.mark.parametrize("content", [b"", b"Just a text.\n", b"\x00\xff" * 100])
def test_a_file_that_is_no_mbox_is_an_error(content, mbox):
    with pytest.raises(DataError, match="holds no mail"):
        list(read_mbox(mbox(content)))


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(read_mbox(tmp_path / "Sent.mbox"))
    with pytest.raises(DataError, match="a folder"):
        list(read_mbox(tmp_path))


def test_a_mailbox_is_read_as_a_stream_and_not_changed(mbox):
    path = mbox(*[make_mail(b"word " * 20_000)] * 100)
    before = path.read_bytes()
    tracemalloc.start()
    assert sum(1 for _ in read_mbox(path)) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000 < len(before)
    assert path.read_bytes() == before
