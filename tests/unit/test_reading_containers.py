"""Zips and e-mails: the documents in them."""

from __future__ import annotations

import io
import struct
import zipfile
from email.message import EmailMessage

import pytest

from services.errors import DocumentRejected
from services.reading import email_message, zip_archive
from services.reading.blocks import Source
from services.reading.files import read_file

# Zips


def zip_of(files: dict[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packed) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def members_of(content: bytes, name: str = "manuals.zip") -> dict[str, bytes]:
    return {each.name: each.content for each in zip_archive.members(Source(name, content))}


def test_files_come_under_their_folders():
    files = {"pumps/a.txt": b"A", "pumps/b/c.md": b"C", "d.txt": b"D"}

    assert members_of(zip_of(files)) == {
        "manuals/pumps/a.txt": b"A",
        "manuals/pumps/b/c.md": b"C",
        "manuals/d.txt": b"D",
    }


def test_the_folder_that_a_zip_was_made_of_is_not_repeated():
    files = {"manuals/a.txt": b"A", "manuals/b/c.txt": b"C"}

    assert list(members_of(zip_of(files))) == ["manuals/a.txt", "manuals/b/c.txt"]


def test_names_lead_nowhere_else_and_none_comes_twice():
    files = {
        "../../etc/a.txt": b"1",
        "/etc/a.txt": b"2",
        "C:\\etc\\a.txt": b"3",
        "./x/../b.txt": b"4",
    }

    assert members_of(zip_of(files)) == {
        "manuals/etc/a.txt": b"1",
        "manuals/etc/a (2).txt": b"2",
        "manuals/etc/a (3).txt": b"3",
        "manuals/x/b.txt": b"4",
    }


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("Größe/Übersicht.txt", "utf-8"),
        ("Größe/Übersicht.txt", "cp437"),
        ("Größe/Übersicht.txt", "cp1252"),
        ("Mémoire.txt", "cp437"),
        ("Mémoire.txt", "cp1252"),
        ("資料.txt", "cp932"),
        ("资料.txt", "gb18030"),
        ("plan [1] (2).txt", "ascii"),
    ],
)
def test_a_name_without_a_mark_of_its_encoding_is_words(name, encoding):
    length = len(name.encode(encoding))
    content = zip_of({"x" * length: b"A"}).replace(b"x" * length, name.encode(encoding))

    assert members_of(content) == {f"manuals/{name}": b"A"}


def test_what_systems_add_is_left_out_and_told_of():
    files = {"a.txt": b"A", "__MACOSX/._a.txt": b"x", ".DS_Store": b"x", "b/.git/c.txt": b"x",
             "Thumbs.db": b"x", "~$a.docx": b"x"}  # fmt: skip
    source = Source("m.zip", zip_of(files))

    assert [each.name for each in zip_archive.members(source)] == ["m/a.txt"]
    assert source.notes == ["5 hidden files left out"]


def test_of_files_that_are_not_read_only_the_beginning_is_unpacked():
    assert members_of(zip_of({"video.mp4": b"x" * 50_000_000})) == {
        "manuals/video.mp4": b"x" * 1_000
    }


def test_a_zip_in_a_zip_and_a_mail_are_read_through():
    inner = zip_of({"b.txt": b"B"})
    outcomes = read_file("o.zip", zip_of({"x/i.zip": inner, "a.txt": b"A"}), lambda share: None)

    assert [(each.name, each.blocks[0].text) for each in outcomes] == [  # type: ignore[union-attr]
        ("o/x/i/b.txt", "B"),
        ("o/a.txt", "A"),
    ]


def encrypted(content: bytes) -> bytes:
    """With the mark of encryption on its first file."""
    changed = bytearray(content)
    struct.pack_into("<H", changed, content.index(b"PK\1\2") + 8, 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zip_of({"a.txt": b"ok", "big.txt": b"\0" * 210_000_000}), "unpacks to 210 MB"),
        (zip_of({f"{n}.txt": b"\0" * 70_000_000 for n in range(3)}), "unpacks to 210 MB"),
        (encrypted(zip_of({"a.txt": b"x"})), "protected by a password"),
        (zip_of({"a.txt": b"x"}, packed=zipfile.ZIP_BZIP2), "packed in a way"),
        (zip_of({"a.txt": b"x" * 99})[:-30], "damaged"),
        (b"PK\3\4 and then nothing", "damaged"),
        (zip_of({f"{n}.txt": b"" for n in range(10_001)}), "10,000"),
    ],
    ids=["member", "sum", "password", "bzip2", "cut", "nothing", "many"],
)
def test_what_cannot_be_unpacked_is_refused_in_words(content, words):
    with pytest.raises(DocumentRejected, match=words):
        members_of(content)


def test_a_zip_that_lies_about_a_size_is_refused():
    content = bytearray(zip_of({"a.txt": b"\0" * 5_000_000}))
    struct.pack_into("<I", content, bytes(content).index(b"PK\1\2") + 24, 10)

    with pytest.raises(DocumentRejected, match="damaged"):
        members_of(bytes(content))


# E-mail


def message(plain: str = "", page: str = "", **headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, text in (headers or {"From": "Ann <a@x.org>", "Subject": "Prices für 2024"}).items():
        made[name] = text
    if plain:
        made.set_content(plain)
    if page and plain:
        made.add_alternative(page, subtype="html")
    elif page:
        made.set_content(page, subtype="html")
    return made


def members_of_mail(made: EmailMessage | bytes) -> list[Source]:
    content = made if isinstance(made, bytes) else made.as_bytes()
    return list(email_message.members(Source("offer.eml", content)))


def parts_of(made: EmailMessage | bytes) -> dict[str, bytes]:
    return {each.name: each.content for each in members_of_mail(made)}


def test_a_message_is_its_headers_and_its_plain_text():
    made = message("Hello Bob,\n\nsee below for the prices.\n", "<p>Hello <b>Bob</b></p>")

    assert parts_of(made) == {
        "offer.eml": "# Prices für 2024\n\nFrom: Ann <a@x.org>\nSubject: Prices für 2024\n\n"
        "Hello Bob,\n\nsee below for the prices.\n".encode()
    }


def test_a_message_that_is_only_a_page_is_a_page():
    (part,) = members_of_mail(message(page="<p>Hello &amp; bye</p>", From="a@x.org", Subject="A<b"))

    assert (part.name, part.extension, part.content) == (
        "offer.eml",
        ".html",
        b"<h1>A&lt;b</h1><p>From: a@x.org<br>Subject: A&lt;b</p>\n<p>Hello &amp; bye</p>",
    )


def test_a_message_has_its_own_name_and_attachments_are_in_it():
    made = message(page="<p>See <b>below</b>.</p>", From="a@x.org", Subject="Offer")
    made.add_attachment(b"part,price\npump,9\n", maintype="text", subtype="csv", filename="p.csv")
    made.add_attachment(message("Fine.", From="b@x.org", Subject="Re"))
    content = zip_of({"2024/offer.eml": made.as_bytes()})

    outcomes = [*read_file("offer.eml", made.as_bytes(), lambda share: None),
                *read_file("mails.zip", content, lambda share: None)]  # fmt: skip
    names = ["offer.eml", "offer.eml/p.csv", "offer.eml/Re.eml"]
    assert [(each.name, each.blocks[-1].text) for each in outcomes] == [  # type: ignore[union-attr]
        (f"{folder}{name}", text)
        for folder in ("", "mails/2024/")
        for name, text in zip(names, ["See below.", "part: pump\nprice: 9", "Fine."], strict=True)
    ]


def test_attachments_come_under_the_message_and_names_lead_nowhere_else():
    made = message("See attached, please.")
    made.add_attachment(b"a,b", maintype="text", subtype="csv", filename="prices.csv")
    made.add_attachment(
        b"%PDF", maintype="application", subtype="pdf", filename="../../x/Größe.pdf"
    )
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf")
    made.add_attachment("more", filename="prices.csv")
    inner = message("Inner text.", From="c@x.org", Subject="Re: plan/b")
    made.add_attachment(inner)

    parts = parts_of(made)
    assert list(parts) == [
        "offer.eml",
        "offer.eml/prices.csv",
        "offer.eml/Größe.pdf",
        "offer.eml/attachment 3.pdf",
        "offer.eml/prices (2).csv",
        "offer.eml/b.eml",
    ]
    assert parts["offer.eml/prices.csv"] == b"a,b"
    assert b"Inner text." in parts["offer.eml/b.eml"]


def test_images_within_the_text_are_told_of_and_others_are_attachments():
    made = message("See the picture, please.")
    made.add_attachment(b"x", maintype="image", subtype="png", filename="logo.png", cid="<1>")
    made.add_attachment(b"x", maintype="image", subtype="png", filename="scan.png")
    source = Source("offer.eml", made.as_bytes())

    assert [each.name for each in email_message.members(source)] == [
        "offer.eml",
        "offer.eml/scan.png",
    ]
    assert source.notes == ["1 image without text"]


def test_broken_headers_and_unknown_encodings_lose_no_text():
    content = (
        b"From: =?utf-8?q?broken\r\nSubject: =?nonsense?b?eA==?=\r\nDate: yesterday\r\n"
        b"Content-Type: text/plain; charset=nonsense\r\n\r\nna\xefve text of the mail\r\n"
    )
    parts = parts_of(content)

    assert "naïve text of the mail" in parts["offer.eml"].decode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"just some text without any header", "damaged"),
        (b"\0\1\2\3", "damaged"),
        (b"From: a@x.org\r\nContent-Type: application/pkcs7-mime\r\n\r\nMIAG", "encrypted"),
    ],
)
def test_what_is_no_message_is_refused_in_words(content, words):
    with pytest.raises(DocumentRejected, match=words):
        parts_of(content)


def test_messages_in_hundreds_of_others_are_refused_in_words():
    message = b"From: a@b.c\r\nSubject: s\r\n\r\nhi"
    for _ in range(3_000):
        message = b"From: a\r\nSubject: s\r\nContent-Type: message/rfc822\r\n\r\n" + message

    [(_, error)] = read_file("nest.eml", message, lambda share: None)
    assert "is nested hundreds of times" in str(error)
