"""Word documents: what their reader makes of them."""

from __future__ import annotations

import io
import time
import zipfile

import docx
import pytest

from services.errors import DocumentRejected
from services.reading.blocks import Block, Source
from services.reading.docx import read

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
NAMESPACES = (
    f'xmlns:w="{W}" xmlns:r="{R}" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:v="urn:schemas-microsoft-com:vml" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 512


def package_of(body: str, before: str = "", packed: int = zipfile.ZIP_DEFLATED, **parts: str):
    """A document with this as its body, and parts by their kind: styles="<w:style…"."""
    root = {"numbering": "numbering", "styles": "styles", "footnotes": "footnotes",
            "endnotes": "endnotes", "header": "hdr", "header2": "hdr", "footer": "ftr"}  # fmt: skip
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packed) as archive:
        links = "".join(
            f'<Relationship Id="r{n}" Type="{R}/{kind.rstrip("2")}" Target="{kind}.xml"/>'
            for n, kind in enumerate(parts)
        )
        about = f'<Relationships xmlns="{PACKAGE}">%s</Relationships>'
        main = f'<Relationship Id="r" Type="{R}/officeDocument" Target="word/document.xml"/>'
        archive.writestr("_rels/.rels", about % main)
        archive.writestr("word/_rels/document.xml.rels", about % links)
        for kind, content in parts.items():
            tag = root[kind]
            archive.writestr(f"word/{kind}.xml", f"<w:{tag} {NAMESPACES}>{content}</w:{tag}>")
        document = f"<w:document {NAMESPACES}><w:body>{body}</w:body></w:document>"
        archive.writestr("word/document.xml", before + document)
    return made.getvalue()


def run(text: str, tag: str = "t", about: str = "") -> str:
    return f'<w:r>{about}<w:{tag} xml:space="preserve">{text}</w:{tag}></w:r>'


def paragraph(*runs: str, about: str = "") -> str:
    inner = "".join(each if each.startswith("<") else run(each) for each in runs)
    return f"<w:p><w:pPr>{about}</w:pPr>{inner}</w:p>"


def cell(*content: str, about: str = "") -> str:
    inner = "".join(each if each.startswith("<") else paragraph(each) for each in content)
    return f"<w:tc><w:tcPr>{about}</w:tcPr>{inner}</w:tc>"


def table(*rows: str, about: str = "") -> str:
    return f"<w:tbl>{about}{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def numbered(text: str, numbering: int, depth: int = 0) -> str:
    about = f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{numbering}"/></w:numPr>'
    return paragraph(text, about=about)


def level(depth: int, form: str, text: str, more: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{depth}"><w:start w:val="1"/><w:numFmt w:val="{form}"/>{more}'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


def blocks_of(content: bytes) -> list[Block]:
    return list(read(Source("a.docx", content)))


def texts_of(body: str, **parts: str) -> list[str]:
    return [block.text for block in blocks_of(package_of(body, **parts))]


def notes_of(body: str, **parts: str) -> list[str]:
    source = Source("a.docx", package_of(body, **parts))
    list(read(source))
    return source.notes


# Tracked changes


def test_inserted_text_is_read_and_deleted_text_is_not():
    body = paragraph("Supply contract") + paragraph(
        "The delivery period is ",
        f'<w:del w:id="2">{run("thirty days", "delText")}</w:del>',
        f'<w:ins w:id="1">{run("fourteen working days")}</w:ins>',
        " after the order.",
    )
    body += f"<w:p><w:ins>{run('A penalty of 2 percent a week is due.')}</w:ins></w:p>"

    assert texts_of(body) == [
        "Supply contract",
        "The delivery period is fourteen working days after the order.",
        "A penalty of 2 percent a week is due.",
    ]
    assert notes_of(body) == ["3 tracked changes, read as accepted"]


def test_moved_text_is_read_once_where_it_is_now():
    body = (
        f"<w:p><w:moveFrom>{run('Clause on rent.')}</w:moveFrom></w:p>"
        + paragraph("Between.")
        + f"<w:p><w:moveTo>{run('Clause on rent.')}</w:moveTo></w:p>"
    )

    assert texts_of(body) == ["Between.", "Clause on rent."]


def test_a_paragraph_whose_end_was_deleted_goes_on_in_the_next():
    body = paragraph("The pump ", about="<w:rPr><w:del/></w:rPr>") + paragraph("starts at noon.")

    assert texts_of(body) == ["The pump starts at noon."]


def test_a_text_whose_last_end_was_deleted_is_kept():
    assert texts_of(paragraph("Last.", about="<w:rPr><w:del/></w:rPr>")) == ["Last."]


def test_a_deleted_row_and_a_deleted_cell_are_left_out():
    body = table(
        cell("Part") + cell("Price"),
        f"<w:trPr><w:del/></w:trPr>{cell('Old')}{cell('1')}",
        cell("New") + cell("2", about="<w:cellDel/>"),
    )

    assert texts_of(body) == ["New"]


def test_how_a_paragraph_was_before_a_change_does_not_count():
    before = "<w:pPrChange><w:pPr><w:outlineLvl w:val='0'/></w:pPr></w:pPrChange>"

    assert blocks_of(package_of(paragraph("Text", about=before))) == [Block("text", "Text")]


# Where text hides


def test_content_controls_links_and_smart_tags_are_read():
    control = (
        "<w:sdt><w:sdtPr><w:alias w:val='x'/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>"
    )
    body = (
        control.format(paragraph("In a block control."))
        + paragraph("Name: ", control.format(run("Ann")))
        + paragraph(f"<w:hyperlink>{run('a link')}</w:hyperlink>", " here")
        + paragraph(f"<w:smartTag>{run('tagged')}</w:smartTag>")
        + table(control.format(cell("A")) + cell("B"))
    )

    assert texts_of(body) == ["In a block control.", "Name: Ann", "a link here", "tagged", "A | B"]


def test_a_text_box_follows_its_paragraph_and_is_read_once():
    warning = "Warning: disconnect the mains."
    box = f"<w:txbxContent>{paragraph(warning)}</w:txbxContent>"
    both = (
        f"<mc:AlternateContent><mc:Choice Requires='wps'>{box}</mc:Choice>"
        f"<mc:Fallback><w:pict><v:shape><v:textbox>{box}</v:textbox></v:shape></w:pict>"
        "</mc:Fallback></mc:AlternateContent>"
    )
    old = f"<w:pict><v:shape><v:textbox>{box}</v:textbox></v:shape></w:pict>"

    for drawn in (both, old):
        body = paragraph("Before ", f"<w:r>{drawn}</w:r>", "and after.") + paragraph("Next.")
        assert texts_of(body) == ["Before and after.", warning, "Next."]


def test_page_headers_and_footers_are_read_once():
    assert texts_of(
        paragraph("Body."),
        header=paragraph("Policy HR-204, valid from 1 March"),
        header2=paragraph("Policy HR-204, valid from 1 March"),
        footer=paragraph("Owner: facilities team"),
    ) == ["Policy HR-204, valid from 1 March", "Body.", "Owner: facilities team"]


def test_a_footer_of_page_numbers_is_no_text():
    number = f"<w:fldSimple w:instr=' PAGE '>{run('3')}</w:fldSimple>"
    count = f"<w:fldSimple w:instr=' NUMPAGES '>{run('9')}</w:fldSimple>"

    assert texts_of(paragraph("Body."), footer=paragraph("Page ", number, " of ", count)) == [
        "Body."
    ]
    assert texts_of(
        paragraph("Body."), footer=paragraph("Pump manual ", number, " for fitters")
    ) == [
        "Body.",
        "Pump manual  for fitters",
    ]


def test_footnotes_and_endnotes_follow_their_paragraph_and_are_counted():
    footnotes = (
        f"<w:footnote w:type='separator' w:id='-1'>{paragraph('---')}</w:footnote>"
        f"<w:footnote w:id='2'>{paragraph('<w:r><w:footnoteRef/></w:r>', ' Since 2020.')}"
        "</w:footnote>"
    )
    endnotes = f"<w:endnote w:id='5'>{paragraph('See annex B.')}</w:endnote>"
    body = paragraph(
        "Two years.",
        "<w:r><w:footnoteReference w:id='2'/></w:r>",
        "<w:r><w:endnoteReference w:id='5'/></w:r>",
    ) + paragraph("Next.")

    assert texts_of(body, footnotes=footnotes, endnotes=endnotes) == [
        "Two years.[1][i]",
        "[1] Since 2020.",
        "[i] See annex B.",
        "Next.",
    ]
    assert notes_of(body, footnotes=footnotes, endnotes=endnotes) == ["1 footnote", "1 endnote"]


def test_a_footnote_of_a_cell_follows_the_table():
    footnotes = f"<w:footnote w:id='2'>{paragraph('Net.')}</w:footnote>"
    price = paragraph("Price", "<w:r><w:footnoteReference w:id='2'/></w:r>")
    body = table(cell("Part") + cell(price), cell("Pump") + cell("100"))

    assert blocks_of(package_of(body, footnotes=footnotes)) == [
        Block("row", "Pump | 100", header="Part | Price[1]"),
        Block("text", "[1] Net."),
    ]


def test_comments_are_left_out_and_told_of():
    body = paragraph("Text.", "<w:r><w:commentReference w:id='0'/></w:r>")

    assert texts_of(body) == ["Text."]
    assert notes_of(body) == ["1 comment left out"]


def test_images_are_counted_and_their_descriptions_kept():
    def image(descr: str) -> str:
        drawn = f"<wp:inline><wp:docPr {descr}/><pic:pic/></wp:inline>"
        return f"<w:r><w:drawing>{drawn}</w:drawing></w:r>"

    body = paragraph("See ", image("descr='A crane at berth 4'")) + paragraph(image("name='x'"))

    assert texts_of(body) == ["See [Image: A crane at berth 4]"]
    assert notes_of(body) == ["1 image without text", "1 image known by description only"]


def test_hidden_text_is_left_out_and_told_of():
    body = paragraph("Seen.", run("Unseen.", about="<w:rPr><w:vanish/></w:rPr>"), run(" Seen too."))

    assert texts_of(body) == ["Seen. Seen too."]
    assert notes_of(body) == ["hidden text left out"]


def test_tabs_breaks_hyphens_symbols_and_formulas_are_signs():
    body = paragraph(
        "a", "<w:r><w:tab/></w:r>", "b", "<w:r><w:br/></w:r>", "c",
        "<w:r><w:br w:type='page'/></w:r>", "<w:r><w:noBreakHyphen/></w:r>", "d",
        "<w:r><w:sym w:font='Wingdings' w:char='F0FE'/></w:r>",
        "<m:oMath><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r>"
        "</m:den></m:f></m:oMath>",
    )  # fmt: skip

    assert texts_of(body) == ["a\tb\nc-d☒1/2"]


# Fields


def field(instruction: str, result: str) -> list[str]:
    mark = "<w:r><w:fldChar w:fldCharType='{}'/></w:r>".format
    return [
        mark("begin"), run(instruction, "instrText"), mark("separate"), run(result), mark("end")
    ]  # fmt: skip


def test_of_a_field_its_result_is_read():
    assert texts_of(paragraph("See ", *field(' REF _Ref1 \\h "x"', "chapter 4"), ".")) == [
        "See chapter 4."
    ]


def test_a_field_within_the_instruction_of_another_is_not_read():
    mark = "<w:r><w:fldChar w:fldCharType='{}'/></w:r>".format
    inner = field(" MERGEFIELD sex ", "m")
    body = paragraph(
        mark("begin"), run(" IF ", "instrText"), *inner, run(" = m ", "instrText"),
        mark("separate"), "Mr", mark("end"), " Smith",
    )  # fmt: skip

    assert texts_of(body) == ["Mr Smith"]


def test_a_field_that_never_ends_loses_no_text():
    body = paragraph("<w:r><w:fldChar w:fldCharType='begin'/></w:r>", "Kept.") + paragraph("Next.")

    assert texts_of(body) == ["Kept.", "Next."]


def test_form_fields_show_what_is_chosen():
    chosen = (
        "<w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:ddList><w:result w:val='1'/>"
        "<w:listEntry w:val='red'/><w:listEntry w:val='green'/></w:ddList></w:ffData>"
        "</w:fldChar></w:r>"
    )
    box = (
        "<w:r><w:fldChar w:fldCharType='begin'><w:ffData><w:checkBox><w:default w:val='0'/>"
        "<w:checked/></w:checkBox></w:ffData></w:fldChar></w:r>"
    )
    end = "<w:r><w:fldChar w:fldCharType='end'/></w:r>"

    assert texts_of(paragraph("Colour: ", chosen, end)) == ["Colour: green"]
    assert texts_of(paragraph(box, end, "agreed")) == ["☒ agreed"]


# Headings


def style(name: str, more: str = "", style_id: str = "s") -> str:
    about = f'<w:style w:type="paragraph" w:styleId="{style_id}">'
    return f'{about}<w:name w:val="{name}"/>{more}</w:style>'


@pytest.mark.parametrize(
    ("styles", "expected"),
    [
        (style("heading 2"), 2),
        (style("Heading 3"), 3),
        (style("Überschrift 2"), 2),
        (style("Titre 1"), 1),
        (style("标题 4"), 4),
        (style("heading 9"), 6),
        (style("Title"), 1),
        (style("Chapter", "<w:pPr><w:outlineLvl w:val='1'/></w:pPr>"), 2),
        (style("Mine", "<w:basedOn w:val='h'/>") + style("heading 3", style_id="h"), 3),
        (style("Quote", "<w:pPr><w:outlineLvl w:val='9'/></w:pPr>"), 0),
    ],
)
def test_a_heading_is_known_by_its_style_in_any_language(styles, expected):
    body = paragraph("Scope", about="<w:pStyle w:val='s'/>") + paragraph("Text.")

    assert blocks_of(package_of(body, styles=styles)) == [
        Block("heading" if expected else "text", "Scope", level=expected),
        Block("text", "Text."),
    ]


def test_a_paragraph_with_an_outline_level_is_a_heading_and_one_without_text_is_nothing():
    first = "<w:outlineLvl w:val='0'/>"

    assert blocks_of(package_of(paragraph("Scope", about=first) + paragraph(about=first))) == [
        Block("heading", "Scope", level=1)
    ]


def test_the_table_of_contents_is_left_out_and_told_of():
    body = paragraph("1 Scope 3", about="<w:pStyle w:val='s'/>") + paragraph("Text.")

    assert texts_of(body, styles=style("toc 1")) == ["Text."]
    assert notes_of(body, styles=style("toc 1")) == ["the table of contents left out"]


def test_paragraphs_of_code_are_one_block():
    about = "<w:pStyle w:val='s'/>"
    body = paragraph("def f():", about=about) + paragraph("    return 1", about=about)

    assert blocks_of(package_of(body, styles=style("HTML Preformatted"))) == [
        Block("code", "def f():\n    return 1")
    ]


# Lists


LEVELS = level(0, "decimal", "%1.") + level(1, "decimal", "%1.%2") + level(2, "lowerLetter", "%3)")
LISTS = (
    f'<w:abstractNum w:abstractNumId="1">{LEVELS}</w:abstractNum>'
    f'<w:abstractNum w:abstractNumId="2">{level(0, "bullet", "•")}</w:abstractNum>'
    f'<w:abstractNum w:abstractNumId="3">{level(0, "upperRoman", "§ %1")}</w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num>'
    '<w:num w:numId="2"><w:abstractNumId w:val="2"/></w:num>'
    '<w:num w:numId="3"><w:abstractNumId w:val="3"/></w:num>'
    '<w:num w:numId="4"><w:abstractNumId w:val="1"/><w:lvlOverride w:ilvl="0">'
    '<w:startOverride w:val="1"/></w:lvlOverride></w:num>'
)


def test_lists_have_their_numbers_on_all_levels():
    body = (
        numbered("one", 1) + numbered("two", 1) + numbered("deep", 1, 1) + numbered("deep", 1, 1)
        + numbered("letter", 1, 2) + numbered("letter", 1, 2) + numbered("three", 1)
        + numbered("again", 1, 1)
    )  # fmt: skip

    assert texts_of(body, numbering=LISTS) == [
        "1. one\n2. two\n  2.1 deep\n  2.2 deep\n    a) letter\n    b) letter\n"
        "3. three\n  3.1 again"
    ]


def test_a_list_goes_on_after_text_and_another_starts_again():
    body = numbered("one", 1) + paragraph("Between.") + numbered("two", 1) + numbered("new", 4)

    assert texts_of(body, numbering=LISTS) == ["1. one", "Between.", "2. two\n1. new"]


def test_bullets_and_roman_numbers():
    body = numbered("a", 2) + numbered("b", 2) + paragraph("x")
    body += "".join(numbered("law", 3) for _ in range(4))

    assert texts_of(body, numbering=LISTS) == [
        "- a\n- b", "x", "§ I law\n§ II law\n§ III law\n§ IV law"
    ]  # fmt: skip


def test_a_heading_numbered_by_its_style_has_its_number():
    about = (
        '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr><w:outlineLvl w:val="{}"/></w:pPr>'
    ).format
    styles = style("heading 1", about(0), "one") + style("heading 2", about(1), "two")
    levels = level(0, "decimal", "%1", '<w:pStyle w:val="one"/>')
    levels += level(1, "decimal", "%1.%2", '<w:pStyle w:val="two"/>')
    numbering = (
        f'<w:abstractNum w:abstractNumId="1">{levels}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num>'
    )
    one, two = "<w:pStyle w:val='one'/>", "<w:pStyle w:val='two'/>"
    body = paragraph("Scope", about=one) + paragraph("Terms", about=one)
    body += paragraph("Pump", about=two)

    assert texts_of(body, styles=styles, numbering=numbering) == ["1 Scope", "2 Terms", "2.1 Pump"]


def test_a_numbering_that_does_not_exist_or_is_taken_away_is_none():
    assert texts_of(numbered("a", 77) + numbered("b", 0), numbering=LISTS) == ["a", "b"]


# Tables


def test_rows_carry_the_headings_of_their_table():
    document = docx.Document()
    document.add_heading("Fasteners", level=2)
    made = document.add_table(rows=0, cols=3)
    for row in (("Part", "Thread", "Price"), ("S-1", "M3", "0.07"), ("S-2", "M4", "0.14")):
        for target, text in zip(made.add_row().cells, row, strict=True):
            target.text = text
    saved = io.BytesIO()
    document.save(saved)

    assert blocks_of(saved.getvalue()) == [
        Block("heading", "Fasteners", level=2),
        Block("row", "S-1 | M3 | 0.07", header="Part | Thread | Price"),
        Block("row", "S-2 | M4 | 0.14", header="Part | Thread | Price"),
    ]


def test_a_table_within_a_cell_stays_in_its_row_and_a_wide_cell_stands_once():
    nested = table(cell("NESTED warehouse A holds three") + cell(""), cell("B") + cell("none"))
    body = table(
        cell("Product") + cell("Price") + cell("Stock"),
        cell("Pump") + cell("100 EUR") + cell("5", nested, "<w:p/>"),
        cell("All prices exclude VAT", about='<w:gridSpan w:val="3"/>'),
    )

    assert texts_of(body) == [
        "Pump | 100 EUR | 5; NESTED warehouse A holds three; B, none",
        "All prices exclude VAT",
    ]


def test_a_cell_over_several_rows_stands_once_and_columns_stay_in_place():
    start, on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    body = table(
        cell("Region") + cell("Month") + cell("Sum"),
        cell("North", about=start) + cell("May", about='<w:gridSpan w:val="1"/>') + cell("3"),
        cell("", about=on) + cell("June") + cell("4"),
        f"<w:trPr><w:gridBefore w:val='2'/></w:trPr>{cell('7')}",
        cell("Total", about='<w:gridSpan w:val="2"/>') + cell("7"),
    )

    assert texts_of(body) == ["North | May | 3", " | June | 4", " |  | 7", "Total |  | 7"]


def test_headings_that_are_marked_may_fill_two_rows_and_hold_numbers():
    marked = "<w:trPr><w:tblHeader/></w:trPr>"
    body = table(
        f"{marked}{cell('Item')}{cell('2023')}{cell('2024')}",
        f"{marked}{cell('')}{cell('EUR')}{cell('EUR')}",
        cell("Pump") + cell("1") + cell("2"),
    )

    assert blocks_of(package_of(body)) == [
        Block("row", "Pump | 1 | 2", header="Item | 2023 EUR | 2024 EUR")
    ]


def test_a_table_without_headings_keeps_its_first_row():
    body = table(cell("2024-01-03") + cell("Berlin"), cell("2024-01-04") + cell("Bonn"))

    assert blocks_of(package_of(body)) == [
        Block("row", "2024-01-03 | Berlin"),
        Block("row", "2024-01-04 | Bonn"),
    ]


def test_a_frame_of_one_cell_is_its_text():
    body = table(cell("First.", "Second."))

    assert blocks_of(package_of(body)) == [Block("text", "First."), Block("text", "Second.")]


# Files


def test_a_strict_document_and_one_of_nothing_but_its_text_are_read():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        kind = "http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument"
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r" Type="{kind}" '
            'Target="/text.xml"/></Relationships>',
        )
        archive.writestr(
            "text.xml",
            f'<w:document xmlns:w="{STRICT}"><w:body>{paragraph("Berth 4")}</w:body></w:document>',
        )

    assert blocks_of(made.getvalue()) == [Block("text", "Berth 4")]


def test_twenty_thousand_paragraphs_take_less_than_five_seconds():
    content = package_of(paragraph("Valve check.") * 20_000)
    began = time.process_time()

    assert len(blocks_of(content)) == 20_000
    assert time.process_time() - began < 5


def test_progress_runs_from_zero_to_one():
    shares: list[float] = []
    source = Source("a.docx", package_of(paragraph("x" * 50_000) * 4), on_progress=shares.append)
    list(read(source))

    assert shares == sorted(shares)
    assert len(shares) > 2
    assert shares[-1] == 1


LAUGHS = f"""<!DOCTYPE d [<!ENTITY a "{"x" * 50_000}"><!ENTITY b "{"&a;" * 50_000}">]>"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (OLE, "password"),
        (b"%PDF-1.7", "damaged"),
        (b"PK\3\4 and then nothing", "damaged"),
        (package_of(paragraph("x"))[:600], "damaged"),
        (package_of("<w:p/>" * 3_100_000), "more than 3,000,000 parts"),
        (package_of(f"<w:p>{'<w:r><w:t>x</w:t></w:r>' * 1_600_000}</w:p>"), "3,000,000 parts"),
        (package_of(table(cell("x") * 800_000)), "3,000,000 parts"),
        (package_of("x" * 210_000_000), "unpacks to hundreds of megabytes"),
        (package_of(" " * 50_000, packed=zipfile.ZIP_BZIP2), "damaged"),
        (package_of(paragraph("&b;"), before=LAUGHS), "damaged"),
        (package_of("<w:p>"), "damaged"),
    ],
    ids=[
        "old",
        "pdf",
        "cut",
        "half",
        "paragraphs",
        "runs",
        "cells",
        "bomb",
        "bzip2",
        "laughs",
        "xml",
    ],
)
def test_what_cannot_be_read_is_refused_in_words_and_soon(content, words):
    began = time.process_time()
    with pytest.raises(DocumentRejected, match=words):
        blocks_of(content)
    assert time.process_time() - began < 5


def test_a_cell_that_claims_two_billion_columns_is_a_cell():
    wide = '<w:gridSpan w:val="2147483647"/>'
    less = '<w:gridSpan w:val="999999999"/>'

    assert texts_of(table(cell("one", about=wide))) == ["one"]
    assert texts_of(table(cell("a", about=wide) + cell("b"))) == ["a | b"]
    assert texts_of(table(cell("a", about=less) + cell("b"))) == [f"a{' | ' * 64}b"]


def test_parts_that_nobody_reads_may_be_large():
    document = docx.Document()
    document.add_paragraph("Text.")
    saved = io.BytesIO()
    document.save(saved)
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/video.mp4", b"\0" * 210_000_000)

    assert blocks_of(saved.getvalue()) == [Block("text", "Text.")]


def test_any_byte_may_be_wrong():
    good = package_of(
        paragraph("Berth 4") + table(cell("a") + cell("b")), styles=style("heading 1")
    )
    for place in range(0, len(good), 23):
        damaged = good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :]
        try:
            blocks_of(damaged)
        except DocumentRejected:
            continue
    assert [block.text for block in blocks_of(good)] == ["Berth 4", "a | b"]


def test_signs_of_the_symbol_font_are_what_they_show():
    codes = ("F0B0", "F057", "f06d")
    signs = "".join(f'<w:sym w:font="Symbol" w:char="{code}"/>' for code in codes)
    boxes = '<w:sym w:font="Wingdings" w:char="F0A8"/>'

    assert texts_of(paragraph(run("40 "), f"<w:r>{signs}</w:r>", f"<w:r>{boxes}</w:r>")) == [
        "40 °Ωμ☐"
    ]
