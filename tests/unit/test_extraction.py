"""File bytes to text, and the words for each file that cannot be read."""

from __future__ import annotations

import contextlib
import io
import zipfile

import docx
import pypdf
import pytest
from services.knowledge.extraction import extract_text

from services.errors import DocumentRejected
from services.knowledge import docx_text, rejections

OLE = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 512


def pdf_of(text: str, password: str | None = None, owner_only: bool = False) -> bytes:
    """A PDF of one page that shows `text`, and nothing for an empty one."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(300, 300)
    if text:
        font = pypdf.generic.DictionaryObject(
            {
                pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Font"),
                pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Type1"),
                pypdf.generic.NameObject("/BaseFont"): pypdf.generic.NameObject("/Helvetica"),
            }
        )
        fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): font})
        page[pypdf.generic.NameObject("/Resources")] = pypdf.generic.DictionaryObject(
            {pypdf.generic.NameObject("/Font"): fonts}
        )
        stream = pypdf.generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[pypdf.generic.NameObject("/Contents")] = stream
    if password is not None:
        user = "" if owner_only else password
        writer.encrypt(user, owner_password=password, algorithm="AES-256")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def docx_of() -> bytes:
    document = docx.Document()
    document.add_heading("Berths", level=2)
    document.add_paragraph("Berth 4 takes tankers.")
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Berth", "Depth"
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def archive_of(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\0" * size)
    return buffer.getvalue()


def test_text_and_markdown_are_taken_as_they_are():
    assert extract_text("a.md", b"\xef\xbb\xbf# Port\r\n\r\nBerth 4\x0cnext  \r\n") == (
        "# Port\n\nBerth 4\nnext"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_the_encoding_of_a_text_is_found(encoding):
    text = "Über die Größe der Häfen: für schöne Schiffe, die täglich ankommen, gebührenfrei."

    assert extract_text("Größe.TXT", text.encode(encoding)) == text


def test_letters_of_two_code_points_become_one():
    assert extract_text("a.txt", "Hafengebu\u0308hr".encode()) == "Hafengebühr"


def test_html_keeps_headings_lists_and_tables_and_drops_scripts_and_links():
    page = (
        b"<html><head><title>t</title><style>p{}</style></head><body><nav>Home</nav>"
        b"<h2>Dues</h2><p>See the <a href='x.html'>tariff</a>.</p><ul><li>tugs</li></ul>"
        b"<table><tr><th>Berth</th></tr><tr><td>4</td></tr></table><script>x()</script></body></html>"
    )

    text = extract_text("a.html", page)
    assert "## Dues" in text
    assert "See the tariff." in text
    assert "tugs" in text
    assert "| 4 |" in text
    assert not any(word in text for word in ("x()", "p{}", "Home", "x.html"))


def test_docx_keeps_headings_and_tables():
    assert extract_text("a.docx", docx_of()) == (
        "## Berths\n\nBerth 4 takes tankers.\n\nBerth | Depth"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_each_row_of_a_csv_names_its_columns(delimiter):
    rows = ["berth,depth,note", '4,12,"deep, calm"', "5,9,", "6,7,x,y"]
    content = "\n".join(rows).replace('"deep, calm"', "\0").replace(",", delimiter)
    content = content.replace("\0", '"deep, calm"').encode()

    assert extract_text("a.csv", content) == (
        "berth: 4\ndepth: 12\nnote: deep, calm\n\nberth: 5\ndepth: 9\n\n"
        "berth: 6\ndepth: 7\nnote: x\nmore: y"
    )


def test_a_csv_of_one_column_is_read():
    assert extract_text("a.csv", b"question\nWhere is berth 4?\n") == "question: Where is berth 4?"


def test_the_text_of_a_pdf_is_read():
    assert extract_text("a.pdf", pdf_of("Berth 4 takes tankers")) == "Berth 4 takes tankers"


def test_a_pdf_that_is_only_protected_against_changes_is_read():
    locked = pdf_of("Berth 4", password="secret", owner_only=True)

    assert extract_text("a.pdf", locked) == "Berth 4"


def test_html_that_is_nested_too_deep_is_read_without_its_headings():
    page = "<div>" * 1_000 + "<h1>Berth 4</h1><p>is deep.</p>"
    assert extract_text("a.html", page.encode()).split() == ["Berth", "4", "is", "deep."]


def test_a_docx_with_any_byte_wrong_is_read_or_refused():
    good = docx_of()
    for place in range(0, len(good), 97):
        damaged = good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :]
        with contextlib.suppress(DocumentRejected):
            extract_text("a.docx", damaged)
    assert extract_text("a.docx", good)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "is empty"),
        ("a.md", b" \n\t\n", "is empty"),
        ("a.html", b"<html><body><script>x</script></body></html>", "is empty"),
        ("a.csv", b"berth,depth\n", "is empty"),
        ("a.exe", b"MZ", "of a type that cannot be read"),
        ("noending", b"text", "of a type that cannot be read"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "is not text"),
        ("a.csv", b"\0\1\2\3" * 50, "is not text"),
        ("a.pdf", b"%PDF-1.7 and then nothing", "is damaged"),
        ("a.pdf", pdf_of("Berth 4")[:300], "is damaged"),
        ("a.pdf", pdf_of("Berth 4", password="secret"), "password"),
        ("a.pdf", pdf_of(""), "scanned"),
        ("a.docx", b"PK\3\4 and then nothing", "is damaged"),
        ("a.docx", archive_of(10), "is damaged"),
        ("a.docx", docx_of()[:2_000], "is damaged"),
        ("a.docx", OLE, "password"),
        ("a.docx", archive_of(docx_text.MAX_UNPACKED_BYTES + 1), "unpacks to"),
        ("a.txt", b"x" * (rejections.MAX_BYTES + 1), "too large"),
        ("a.txt", b"x" * (rejections.MAX_CHARACTERS + 1), "2,000,000 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_bad_file_has_words_of_its_own(name, content, words):
    with pytest.raises(DocumentRejected, match=words) as caught:
        extract_text(name, content)
    assert str(caught.value).startswith(name)
    assert caught.value.next_step != DocumentRejected.next_step
