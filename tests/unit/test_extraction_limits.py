"""A small file can not make its reader take the memory or the time of the whole app."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
import zlib

import docx
import pytest
from services.knowledge.extraction import extract_text

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
ONE_CELL = "<w:tc><w:tcPr>{}</w:tcPr><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"

# Reads each file, and tells what came of it, seconds of the processor, and the highest memory.
READ = """
import json, re, sys, time
from pathlib import Path
from services.errors import DocumentRejected
from services.knowledge import rejections
from services.knowledge.extraction import extract_text

rejections.MAX_SECONDS = 4.0  # whoever would go on for hours is stopped sooner here

for path in map(Path, sys.argv[1:]):
    content = path.read_bytes()
    began = time.process_time()
    try:
        came = len(extract_text(path.name, content))
    except DocumentRejected as error:
        came = str(error)
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps([path.name, came, time.process_time() - began, peak]), flush=True)
"""


def docx_of(body: str, *, before: str = "", packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A Word document with this as its body."""
    template, made = io.BytesIO(), io.BytesIO()
    docx.Document().save(template)
    with zipfile.ZipFile(template) as source, zipfile.ZipFile(made, "w", packed) as archive:
        for part in source.namelist():
            text = f"{before}<w:document {WORD}><w:body>{body}</w:body></w:document>"
            is_body = part == "word/document.xml"
            archive.writestr(part, text if is_body else source.read(part))
    return made.getvalue()


def table_of(*rows: str) -> str:
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def pdf_of(steps: bytes, pages: int = 1) -> bytes:
    """A PDF whose pages all show `steps`."""
    packed = zlib.compress(steps, 9)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b"3 0 R " * pages),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    made, places = b"%PDF-1.7\n", []
    for number, entry in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, entry)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(made)
    return made + b"xref\n0 6\n0000000000 65535 f \n" + table + end


LONG_RUN = f"<w:t>{'x' * 1_000}</w:t>"
LAUGHS = f"""<!DOCTYPE d [<!ENTITY a "{"x" * 50_000}"><!ENTITY b "{"&a;" * 50_000}">]>"""
FILES = {
    "span.docx": docx_of(table_of(ONE_CELL.format('<w:gridSpan w:val="2147483647"/>', "cell"))),
    "paragraphs.docx": docx_of("<w:p/>" * 4_500_000),
    "runs.docx": docx_of(f"<w:p>{'<w:r/>' * 2_500_000}</w:p>"),
    "cells.docx": docx_of(table_of("<w:tc/>" * 2_500_000)),
    "repeated.docx": docx_of(
        table_of(
            ONE_CELL.format('<w:vMerge w:val="restart"/>', "x" * 500_000),
            *[ONE_CELL.format("<w:vMerge/>", "")] * 10_000,
        )
    ),
    "long.docx": docx_of(f"<w:p><w:r>{LONG_RUN * 50_000}</w:r></w:p>"),
    "bomb.docx": docx_of("x" * 210_000_000),
    "bzip2.docx": docx_of(" " * 50_000_000, packed=zipfile.ZIP_BZIP2),
    "laughs.docx": docx_of("<w:p><w:r><w:t>&b;</w:t></w:r></w:p>", before=LAUGHS),
    "heading.csv": b"h" * 120_000 + b",b,c\n" + b"x,y\n" * 10_000,
    "columns.csv": b"," * 1_000_000 + b"\n" + b"x\n" * 450_000,
    "rows.csv": b"a,b\n" + b"x,y\n" * 6_000_000,
    "tags.html": b"<b>x</b>" * 300_000,
    "attributes.html": b"<p %s>x" % b" ".join(b"a%d" % n for n in range(1_000_000)),
    "scripts.html": b"<b>x</b><script>x</script>" * 60_000,
    "items.html": b"<ol>" + b"<li>x" * 100_000,
    "quotations.html": b"<blockquote>" * 120 + b"<p>x</p>" * 30_000,
    "columns.html": b"<table>" + b"<tr><td colspan=1000>x" * 60_000,
    "number.html": b"<ol start=" + b"9" * 5_000 + b"><li>x</ol>",
    "steps.pdf": pdf_of(b"q Q " * 17_000_000),
    "letters.pdf": pdf_of(b"BT /F 9 Tf (%s) Tj ET" % (b"hello " * 1_000_000)),
    "spaced letters.pdf": pdf_of(b"BT /F 9 Tf [1 (%s)] TJ ET" % (b"hello " * 1_000_000)),
    "pages.pdf": pdf_of(b"q Q " * 250_000, pages=1_000),
    "marks.txt": ("a" + "\u0316\u0300" * 900_000).encode(),
    "signs.txt": ("\U0001d160" * 1_900_000).encode(),  # each composes to three
    "long.txt": b"hello there " * 2_000_000,
    "long.md": "Größe ".encode("cp1252") * 4_000_000,
}
TOO_LONG = "contains more than 2,000,000 characters"
TOO_MANY = "has more than"
COMES: dict[str, int | str] = {
    "span.docx": len("cell"),
    "paragraphs.docx": TOO_MANY,
    "runs.docx": TOO_MANY,
    "cells.docx": TOO_MANY,
    "repeated.docx": TOO_LONG,
    "long.docx": TOO_LONG,
    "bomb.docx": "unpacks to 211 MB",
    "bzip2.docx": "is damaged",
    "laughs.docx": "is damaged",
    "heading.csv": TOO_LONG,
    "columns.csv": TOO_LONG,
    "rows.csv": TOO_LONG,
    "tags.html": TOO_MANY,
    "attributes.html": len("x"),
    "scripts.html": len("**x**") * 60_000,
    "items.html": "takes too long to read",
    "quotations.html": TOO_LONG,
    "columns.html": TOO_LONG,
    "number.html": len("1. x"),
    "steps.pdf": "asks for endless work",
    "letters.pdf": TOO_LONG,
    "spaced letters.pdf": TOO_LONG,
    "pages.pdf": "takes too long to read",
    "marks.txt": "is not text",
    "signs.txt": TOO_LONG,
    "long.txt": TOO_LONG,
    "long.md": TOO_LONG,
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int | str, float, float]]:
    """What a process that read all of the files, one after the other, tells of each."""
    folder = tmp_path_factory.mktemp("documents")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", READ, *(str(folder / name) for name in FILES)],
        capture_output=True,
        text=True,
        timeout=1_200,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (came, seconds, peak) for name, came, seconds, peak in lines}


@pytest.mark.parametrize("name", FILES)
def test_it_is_read_or_refused_in_words_with_little_time_and_memory(name: str, read: dict) -> None:
    came, seconds, peak_mb = read[name]
    if isinstance(COMES[name], str):
        assert COMES[name] in came
    else:
        assert came == COMES[name]
    assert seconds < 15
    assert peak_mb < 600


def test_a_merged_cell_stands_once_in_a_row_and_again_in_each_row_that_it_reaches() -> None:
    across, down, on = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    cell = ONE_CELL.format
    table = table_of(
        cell("", "Berth") + cell(across, "Depth") + cell(down, "North"),
        cell("", "4") + cell("", "12") + cell("", "14") + cell(on, ""),
        f"<w:trPr><w:gridBefore w:val='3'/></w:trPr>{cell(on, '')}",
    )

    assert extract_text("a.docx", docx_of(table)) == (
        "Berth | Depth | North\n4 | 12 | 14 | North\nNorth"
    )


def test_a_document_of_nothing_but_its_text_is_read() -> None:
    package, made = "http://schemas.openxmlformats.org/package/2006/relationships", io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
        archive.writestr(
            "_rels/.rels",
            f'<!-- a --><Relationships xmlns="{package}"><!-- b -->'
            f'<Relationship Id="r" Type="{kind}" Target="/text.xml"/></Relationships>',
        )
        body = "<w:body><w:p><w:r><w:t>Berth 4</w:t></w:r></w:p></w:body>"
        archive.writestr("text.xml", f"<w:document {WORD}>{body}</w:document>")

    assert extract_text("a.docx", made.getvalue()) == "Berth 4"


def test_word_text_that_was_inserted_is_read_and_what_was_deleted_or_moved_away_is_not() -> None:
    def run(text: str, kind: str = "t") -> str:
        return f"<w:r><w:{kind}>{text}</w:{kind}></w:r>"

    body = (
        "<w:p><w:pPr><w:tabs><w:tab w:pos='9'/></w:tabs></w:pPr>"
        f"{run('Berth')}<w:r><w:tab/></w:r><w:ins>{run('4')}</w:ins>"
        f"<w:del>{run('5', 'delText')}</w:del><w:moveFrom>{run('6')}</w:moveFrom>"
        "<w:r><w:br/></w:r><w:r><w:br w:type='page'/></w:r>"
        f"<w:hyperlink>{run('deep')}</w:hyperlink></w:p>"
    )
    nested = f"<w:tc><w:p>{run('a')}</w:p>{table_of(ONE_CELL.format('', 'b'))}</w:tc>"

    assert extract_text("a.docx", docx_of(body + table_of(nested))) == ("Berth\t4\ndeep\n\na\nb")
