"""Sent mail as a log."""

import gzip
import mailbox
import tracemalloc
from contextlib import closing
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.data.mbox import read_mbox
from personaplug.data.own_words import own_words
from personaplug.data.pseudonym import pseudonym
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


def subjects_of(path):
    return [row["subject"] for row in read_mbox(path)]


def bodies_of(path, **options):
    return [row["body"] for row in read_mbox(path, **options)]


def users_of(path):
    return [row["user_id"] for row in read_mbox(path)]


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
        ("=?nonsense?q?Owls=E9?=", "Owlsé"),
        ("Feature: dark mode", "Feature: dark mode"),
        ("firmware: fix the boot loader", "firmware: fix the boot loader"),
        ("Law: what changes in May", "Law: what changes in May"),
        ("Question re: billing", "Question re: billing"),
        ("re:Invent in May", "re:Invent in May"),
        ("[dev] Re: timeline", "[dev] timeline"),
        ("Re: [dev] AW: Re[2]: Re: timeline", "[dev] timeline"),
        ("[a] [b] Sv: Antw: WG: x", "[a] [b] x"),
        ("Vs: Odp: Ref: Re^2: x", "x"),
        ("Re:Owls", "Owls"),
        ("回复：猫头鹰", "猫头鹰"),  # noqa: RUF001
        ("Re: re: ", None),
        (r"=?iso-8859-1?Q?Fehler_f=FCr?= \usepackage{babel}", r"Fehler für \usepackage{babel}"),
        (r"\u00fc and =?utf-8?q?=C3=BC?=", r"\u00fc and ü"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?utf-8*en?q?=C3=BC?=", "ü"),
        ("=?iso-8859-1?q?=C3=BC?=", "ü"),
        ("=?utf-8?q?=FCber_Eulen?=", "über Eulen"),
        ("=?utf-8?q?What??=", "What?"),
        ("=?utf-8\0?q?x?=", None),
        ("=?unicode_escape?q?=5Cu0041?=", r"\u0041"),
        ("=?koi8-r?q?" + "=C4=C1" * 9 + "?=", "да" * 9),
        ("=?us-ascii?q?" + "=C4=C1" * 9 + "?=", None),
        ("=?utf-8?b?x?=", "=?utf-8?b?x?="),
    ],
)
def test_a_subject_is_decoded_and_has_no_reply_marks(written, read, mbox):
    assert subjects_of(mbox(make_mail(Subject=written))) == ([read] if read else [])


@pytest.mark.parametrize(
    ("charset", "encoding", "body"),
    [
        ("utf-8", "8bit", "Über 🦉".encode()),
        ("utf-8", "base64", b"w5xiZXIg8J+miQ=="),
        ("utf-8", "quoted-printable", b"=C3=9Cber =F0=9F=\n=A6=89"),
        ("nonsense", "8bit", "Über 🦉".encode()),
        ("utf-7", "7bit", "Über 🦉".encode("utf-7")),
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
        ("Mine.\n\n__________\nFrom: Bob <b@x>\nSent: Monday\nTo: Ada\nSubject: S\n\ntheirs", "Mine."),
        ("Mine.\n\n*From:* Bob\n*Sent:* Monday\n*To:* Ada\n*Subject:* S\n\ntheirs", "Mine."),
        ("Mine.\n\nFrom: Bob <b@x>\n\nSent: Monday\n\nTo: Ada\n\ntheirs", "Mine."),
        ("Meins.\n\n-----Ursprüngliche Nachricht-----\nVon: Bob\nBetreff: S\n\nihrs", "Meins."),
        ("Meins.\n\nVon: Bob\nGesendet: Montag\nAn: Ada\nBetreff: S\n\nihrs", "Meins."),
        ("Le mien.\n\nDe : Bob\nEnvoyé : lundi\nÀ : Ada\nObjet : S\n\nleur", "Le mien."),
        ("Mío.\n\nDe: Bob\nEnviado el: lunes\nPara: Ada\nAsunto: S\n\nsuyo", "Mío."),
        ("Meins.\n\nAm 06.05.2024 um 09:00 schrieb Bob M:\n> ihrs?", "Meins."),
        ("Le mien.\n\nLe lun. 6 mai 2024 à 09:00, Bob <b@x> a écrit :\n\n> leur", "Le mien."),
        ("Mío.\n\nEl lun, 6 may 2024 a las 9:00, Bob (<b@x>) escribió:\n\n> suyo", "Mío."),
        ("Moje.\n\npon., 6 maj 2024 o 09:00 Bob M <b@x>\nnapisał(a):\n\n> ich", "Moje."),
        ("私の。\n\n2024年5月6日(月) 9:00 Bob M <b@x>:\n\n> 彼の。", "私の。"),
        ("Mine.\n\nOn Mon, May 6, 2024 at 9:00 AM Bob <b@x> wrote:\n\ntheirs, without a mark", "Mine."),
        ("Bob M wrote:\n> asked\nMine.\n\n> asked\nMine too.", "Mine.\n\nMine too."),
        ("Mine.\nOn 1 May Bob wrote:\n> theirs", "Mine."),
        ("Mine.\n\nBegin forwarded message:\n\ntheirs", "Mine."),
        ("Mine.\n\n---------- Forwarded message ---------\ntheirs", "Mine."),
        ("Mine.\n\nSent from my iPhone", "Mine."),
        ("Meins.\n\nVon meinem iPhone gesendet", "Meins."),
        ("Mine.\n\n________\ndev mailing list\nhttps://lists.example.org", "Mine."),
        ("From: Paris\nTo: London\nBoth are far.", "From: Paris\nTo: London\nBoth are far."),
        ("Sent from Paris we got\nthe letter.", "Sent from Paris we got\nthe letter."),
        ("One.\n\n________\nTwo.", "One.\n\n________\nTwo."),
        ("I asked:\n> theirs", "I asked:"),
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
        (make_mail(b"<p>html</p>", Content_Type="text/html"), "without plain text of their sender"),
        (make_mail(b""), "without plain text of their sender"),
        (make_mail(From="ada@example.org, bob@example.org"), "of several senders"),
        (make_mail(From="Ada <ada...@example.org>"), "whose sender's address is not shown in full"),
        (make_mail(From="Ada via dev <dev@lists.example.org>"), "sent by a list in somebody's name"),
        (make_mail(From="dev@l.org", List_Post="<mailto:dev@l.org>"), "sent by a list in somebody's name"),
        (make_mail("привет".encode("koi8-r")), "in another charset than they say, which cannot be told"),
        (make_mail("hello".encode("utf-16")), "in another charset than they say, which cannot be told"),
        (make_mail(Date="Wed, 01 May 99999 14:00:00 +0200"), "without a readable date"),
        (make_mail(Date="Wed, 01 May 2024 14:00:00 +99999999999999"), "without a readable date"),
        (make_mail(Date=None), "without a readable date"),
        (make_mail(Date="soon"), "without a readable date"),
        (make_mail(Date="Wed, 99 May 2024 14:00:00 +0200"), "without a readable date"),
    ],
)
def test_a_mail_that_is_no_row_is_left_out_with_its_reason(mail, reason, mbox):
    reasons = []
    assert len(list(read_mbox(mbox(mail, make_mail()), on_skip=reasons.append))) == 1
    assert reasons == [reason]


def test_a_mail_that_comes_twice_is_one_row(mbox):
    again, other = make_mail(b"More.", Message_ID="<1@x>"), make_mail(b"Other.", Message_ID="<2@x>")
    path = mbox(make_mail(Message_ID="<1@x>"), again, other, make_mail(), make_mail())
    reasons = []
    assert len(bodies_of(path, on_skip=reasons.append)) == 3
    assert reasons == ["that came before, by their Message-ID or content"] * 2


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"From": "ada at example.org (Ada L)"}, "ada@example.org"),
        ({"From": "Ada L <ada at example.org>"}, "ada@example.org"),
        ({"From": "ada (at) example.org"}, "ada@example.org"),
        ({"From": "=?utf-8?q?Lovelace=2C_Ada?= <ada@example.org>"}, "ada@example.org"),
        ({"From": "Ada at example.net <ada@example.org>"}, "ada@example.org"),
        ({"From": "Silvia Maria <s@example.org>"}, "s@example.org"),
        (
            {"From": "Ada via dev <dev@l.org>", "X-Original-From": "Ada <ada@x.org>", "Reply-To": "dev@l.org"},
            "ada@x.org",
        ),
        ({"From": "Ada via dev <dev@l.org>", "Reply-To": "Ada <ada@x.org>"}, "ada@x.org"),
        ({"From": "Ada via dev <dev@l.org>", "Reply-To": "ada@x.org, dev@l.org"}, "ada@x.org"),
        ({"From": "dev@l.org", "List-Post": "<mailto:dev@l.org>", "Reply-To": "ada@x.org"}, "ada@x.org"),
        ({"From": "dev at l.org (Ada via dev)", "Reply-To": "ada at x.org"}, "ada@x.org"),
        ({"From": "'Ada' via g <g@l.org>", "X-Original-From": "Ada <ada@x.org>"}, "ada@x.org"),
        ({"From": "Ada via groups.io <ada=x.org@groups.io>"}, "ada@x.org"),
    ],
)
def test_the_user_is_who_wrote_and_not_the_list_that_sent_it_on(fields, address, mbox):
    assert users_of(mbox(make_mail(**fields))) == [pseudonym(address)]


def test_a_line_that_begins_with_from_is_no_separator_and_loses_no_mark_but_one(mbox):
    body = b"first\n\nFrom now on we meet on Mon 6 May 2024.\n>From then on.\n>>From x\nFrom: here\nlast"
    assert bodies_of(mbox(make_mail(body), make_mail(b"two"))) == [
        "first\n\nFrom now on we meet on Mon 6 May 2024.\nFrom then on.\nFrom: here\nlast",  # >From x is a quotation
        "two",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "From ada@example.org Mon May  6 10:00:00 2024",
        "From - Mon May 06 10:00:00 2024",
        "From 1798@xxx Mon May 06 10:00:00 +0000 2024",
        "From ada at example.org  Mon May  6 10:00:00 2024",
        "From MAILER-DAEMON Mon May  6 10:00 2024",
        "From ada Mon May  6 10:00:00 MET DST 2024",
        "From ada Mon May  6 10:00:00 2024 remote from host",
        "From ada@example.org Mon, 6 May 2024 10:00:00 +0200 (CEST)",
    ],
)
def test_separators_of_every_program_are_known(line, mbox):
    mail = make_mail(b"one").split(b"\n", 1)[1]
    text = line.encode() + b"\n" + mail
    assert bodies_of(mbox(text, text.replace(b"one", b"two"))) == ["one", "two"]
    assert len(bodies_of(mbox(text.replace(b"\n", b"\r\n")))) == 1


def test_a_packed_mailbox_is_read_and_one_cut_off_is_an_error(tmp_path):
    path = tmp_path / "a.mbox.gz"
    path.write_bytes(gzip.compress(make_mail(b"one")))
    assert bodies_of(path) == ["one"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be read further"):
        bodies_of(path)


@pytest.mark.parametrize(
    "charset", ["us-ascii", "utf-8", "iso-8859-1", "windows-1252", "nonsense", "utf-8\0x", "", "zip"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_wrongly_declared_charset_leaves_no_broken_letter(charset, encoding, mbox):
    text = "Schöne Grüße – à bientôt"  # noqa: RUF001
    assert bodies_of(mbox(make_mail(text.encode(encoding), Content_Type=f'text/plain; charset="{charset}"'))) == [text]


def test_a_charset_of_many_bytes_is_believed_before_utf_8(mbox):
    body = "小".encode("gb18030")  # also the UTF-8 of a Cyrillic letter
    assert bodies_of(mbox(make_mail(body, Content_Type="text/plain; charset=gb2312"))) == ["小"]


def test_attached_mail_and_files_are_not_the_words_of_the_sender(mbox):
    html = b"Content-Type: text/html\n\n<p>see below</p>"
    mail = b"Content-Type: message/rfc822\n\nFrom: bob@example.org\nContent-Type: text/plain\n\nof Bob"
    digest = b'Content-Type: multipart/digest; boundary="y"\n\n--y\nContent-Type: text/plain\n\nof many\n--y--'
    named = b"Content-Type: text/plain\nContent-Disposition: inline; filename=a.txt\n\nof a file"
    body = b"".join(b"--x\n" + part + b"\n" for part in (html, mail, digest, named)) + b"--x--"
    assert not bodies_of(mbox(make_mail(body, Content_Type='multipart/mixed; boundary="x"')))


@pytest.mark.parametrize("depth", [20, 500, 3000])
def test_parts_within_parts_however_deep_end_no_reading(depth, mbox):
    heads = [b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth)]
    deep = make_mail().partition(b"\n\n")[0] + b"\n" + b"".join(heads) + b"Content-Type: text/plain\n\ndeep\n\n"
    bodies = bodies_of(mbox(deep, make_mail(b"last")))
    assert bodies[-1] == "last"
    assert depth > 20 or bodies[0] == "deep"


def test_flowing_lines_are_put_together(mbox):
    body = b"One long \nline.\n From here.\n> quoted \n> too\nEnd.\n-- \nAda"
    flowed = make_mail(body, Content_Type="text/plain; format=flowed")
    assert bodies_of(mbox(flowed)) == ["One long line.\nFrom here.\nEnd."]
    assert bodies_of(mbox(make_mail(b"a \nb", Content_Type="text/plain; format=flowed; delsp=yes"))) == ["ab"]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.text("abc äöüßéя小 .,?!", min_size=1), st.booleans()), max_size=8),
    st.sampled_from(["utf-8", "iso-8859-1", "koi8-r", "gb18030"]),
    st.sampled_from(["7bit", "8bit", "quoted-printable", "base64"]),
)
def test_plain_words_come_back_as_the_standard_library_wrote_them(tmp_path_factory, lines, charset, encoding):
    text = "\n".join(["Dear all,", *(("From " if begins else "") + line for line, begins in lines)])
    text = text.encode(charset, "ignore").decode(charset)
    path = tmp_path_factory.getbasetemp() / "law.mbox"
    path.unlink(missing_ok=True)
    mail = EmailMessage()
    mail["From"], mail["Date"], mail["Subject"] = "Ada <ada@example.org>", HEADERS["Date"], "Owls"
    mail.set_content(text, charset=charset, cte="8bit" if encoding == "7bit" and not text.isascii() else encoding)
    with closing(mailbox.mbox(path)) as box:
        box.add(mail)
        box.add(mail)
    rows = list(read_mbox(path))
    assert [row["body"] for row in rows] == ["\n".join(line.rstrip() for line in text.splitlines()).strip()]


LONG = ["word " * 20_000, "On x " * 20_000, "> a\n" * 20_000, "On 1:11 wrote\n" * 7_000, "From: x\n" * 12_000]


@pytest.mark.parametrize("text", [*LONG, ("1<a@b>" * 40 + "\n") * 400, "On 1 wrote:\n\n" * 7_000 + "x", "-" * 100_000])
def test_a_long_text_is_read_to_its_end(text):
    assert own_words(f"{text}\n\nLast.").endswith("Last.")


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_no_mail_however_broken_stops_the_reading(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "any.mbox"
    broken = [b"From x Wed May  1 14:00:00 2024\nX: y\n" + piece + b"\n\n" + piece + b"\n\n" for piece in pieces]
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
    path = mbox(*(make_mail(b"word " * 20_000, Message_ID=f"<{n}@x>") for n in range(100)))
    before = path.read_bytes()
    tracemalloc.start()
    assert sum(1 for _ in read_mbox(path)) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000 < len(before)
    assert path.read_bytes() == before
