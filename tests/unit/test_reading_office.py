"""Workbooks, presentations and OpenDocument texts."""

from __future__ import annotations

import datetime
import io
import time
import zipfile

import openpyxl
import pytest
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from services.errors import DocumentRejected
from services.reading import odt, slides, spreadsheet
from services.reading.blocks import Block, Source

OLE = bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 512
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360"
    "000000020001e221bc330000000049454e44ae426082"
)


def saved(document) -> bytes:
    made = io.BytesIO()
    document.save(made)
    return made.getvalue()


def reading(module, content: bytes) -> tuple[list[Block], list[str]]:
    source = Source("a.x", content)
    return list(module.read(source)), source.notes


# Workbooks


def workbook_of(**sheets: list[list[object]]) -> openpyxl.Workbook:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return workbook


def test_each_sheet_is_under_its_name_and_each_row_names_its_columns():
    workbook = workbook_of(
        Prices=[["item", "price"], ["pump", 100], ["valve", 19.5]], Lists=[["a", "b"], ["x", "y"]]
    )

    assert reading(spreadsheet, saved(workbook)) == (
        [
            Block("heading", "Prices", level=1, page=1),
            Block("row", "item: pump\nprice: 100", page=1),
            Block("row", "item: valve\nprice: 19.5", page=1),
            Block("heading", "Lists", level=1, page=2),
            Block("row", "a: x\nb: y", page=2),
        ],
        [],
    )


def test_values_are_written_as_a_person_would():
    day = datetime.datetime.fromisoformat("2024-03-01 12:30")
    rows = [
        ["date", "moment", "time", "length", "yes", "large", "small", "text"],
        [day.date(), day, day.time(), datetime.timedelta(hours=30), True, 10**12, 0.1, "007"],
    ]

    blocks, _ = reading(spreadsheet, saved(workbook_of(S=rows)))
    assert blocks[1].text == (
        "date: 2024-03-01\nmoment: 2024-03-01 12:30:00\ntime: 12:30:00\nlength: 30:00:00\n"
        "yes: TRUE\nlarge: 1000000000000\nsmall: 0.1\ntext: 007"
    )


@pytest.mark.parametrize("sign", ["#N/A", "#DIV/0!", "#REF!", "#NAME?", "#SPILL!", "#CALC!"])
def test_an_error_is_its_sign(sign):
    workbook = workbook_of(S=[["part", "price", "stock"], ["pump", 1, 2]])
    workbook["S"]["B2"] = sign
    workbook["S"]["B2"].data_type = "e"

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert blocks[1].text == f"part: pump\nprice: {sign}\nstock: 2"


def test_every_error_of_a_large_sheet_is_kept():
    workbook = workbook_of(S=[["part", "price"], *([f"pump {n}", "#N/A"] for n in range(20_000))])

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert [block.text for block in blocks[1:]] == [
        f"part: pump {n}\nprice: #N/A" for n in range(20_000)
    ]


@pytest.mark.parametrize(
    "digits", ["12345678901234567890", "-9007199254740993", "1234567890123456"]
)
def test_an_id_with_more_digits_than_a_number_keeps_has_all_of_them(digits):
    content = saved(workbook_of(S=[["id", "part"], [777, "pump"]]))
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for part in old.namelist():
            new.writestr(part, old.read(part).replace(b"<v>777<", f"<v>{digits}<".encode()))

    blocks, _ = reading(spreadsheet, made.getvalue())
    assert blocks[1].text == f"id: {digits}\npart: pump"


def test_a_length_of_time_may_be_negative():
    workbook = workbook_of(S=[["what", "length"], ["early", datetime.timedelta(hours=-2.5)]])

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert blocks[1].text == "what: early\nlength: -2:30:00"


def test_a_title_above_the_headings_is_text_and_rows_may_begin_anywhere():
    workbook = workbook_of(S=[[], [None, "Price list 2024"], [], [None, "item", "price", "unit"]])
    sheet = workbook["S"]
    sheet.append([None, "pump", 100, "EUR"])
    sheet.merge_cells("B2:D2")

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert [block.text for block in blocks] == [
        "S",
        "Price list 2024",
        "item: pump\nprice: 100\nunit: EUR",
    ]


def test_a_value_merged_over_rows_stands_in_each_of_them():
    workbook = workbook_of(
        S=[["region", "month"], ["North", "May"], [None, "June"], [None, "July"]]
    )
    workbook["S"].merge_cells("A2:A3")

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert [block.text for block in blocks[1:]] == [
        "region: North\nmonth: May",
        "region: North\nmonth: June",
        "month: July",
    ]


def test_a_heading_of_two_rows_names_each_column_by_both():
    workbook = workbook_of(
        S=[
            ["Budget"],
            ["region", "2025", None, "2026", None],
            [None, "Plan", "Actual", "Plan", "Actual"],
            ["North", 1, 2, 3, 4],
        ]
    )
    for cells in ("A2:A3", "B2:C2", "D2:E2"):
        workbook["S"].merge_cells(cells)

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert [block.text for block in blocks[1:]] == [
        "Budget",
        "region: North\n2025 Plan: 1\n2025 Actual: 2\n2026 Plan: 3\n2026 Actual: 4",
    ]


def test_merged_rows_of_values_are_no_heading():
    workbook = workbook_of(S=[["a", "b", None], [None, "x1", "x2"], ["c", "d", "e"]])
    workbook["S"].merge_cells("A1:A2")
    workbook["S"].merge_cells("B1:C1")

    blocks, _ = reading(spreadsheet, saved(workbook))
    assert [block.text for block in blocks[1:]] == ["a | b", "a | x1 | x2", "c | d | e"]


def test_hidden_and_empty_sheets_formulas_and_comments_are_told_of():
    workbook = workbook_of(Shown=[["a", "b"], ["x", "=1+1"]], Lists=[["c", "d"], ["y", "z"]], No=[])
    workbook["Lists"].sheet_state = "hidden"
    workbook["Shown"]["A1"].comment = openpyxl.comments.Comment("why", "me")

    blocks, notes = reading(spreadsheet, saved(workbook))
    assert [block.text for block in blocks] == [
        "Shown", "a: x", "Columns without values: b", "Lists", "c: y\nd: z"
    ]  # fmt: skip
    assert notes == [
        "formulas without a stored result left out",
        "comments left out",
        "sheet “Lists” is hidden, and read too",
        "sheet “No” is empty",
    ]


def test_cells_at_both_ends_of_a_sheet_are_refused_at_once_or_read():
    workbook = workbook_of(S=[["a"]])
    workbook["S"]["XFD1048576"] = "far"

    with pytest.raises(DocumentRejected, match="cells apart"):
        reading(spreadsheet, saved(workbook))


def test_a_sheet_with_more_cells_than_can_be_read_is_refused_before_it_is_parsed():
    content = saved(workbook_of(S=[["a"]]))
    rows = f"<row>{'<c><v>1</v></c>' * 1_000}</row>" * 5_100
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = f"<worksheet><sheetData>{rows}".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)

    began = time.process_time()
    with pytest.raises(DocumentRejected, match="more than 5,000,000 cells"):
        reading(spreadsheet, buffer.getvalue())
    assert time.process_time() - began < 10


# Presentations


def test_a_slide_is_its_title_its_text_and_its_notes():
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    body = slide.placeholders[1].text_frame
    body.text = "First point\nSecond point"
    body.paragraphs[1].level = 1
    slide.shapes.title.text = "Safety"
    slide.notes_slide.notes_text_frame.text = "Say hello."
    table = slide.shapes.add_table(2, 2, 0, Inches(7), Inches(3), Inches(1)).table
    for row, cells in enumerate((("Part", "Price"), ("Pump", "100"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text

    assert reading(slides, saved(deck)) == (
        [
            Block("heading", "Safety", level=1, page=1),
            Block("text", "- First point\n  - Second point", page=1),
            Block("row", "Pump | 100", page=1, header="Part | Price"),
            Block("text", "Notes: Say hello.", page=1),
        ],
        [],
    )


def test_text_of_boxes_groups_charts_and_pictures_is_read():
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    slide.shapes.add_textbox(0, 0, 99, 99).text_frame.text = "Free\ntext"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 99, 99).text_frame.text = "In a group"
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("Sales", (1.5, 2))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, 0, 0, Inches(3), Inches(3), data)
    slide.shapes.add_picture(io.BytesIO(PNG), 0, 0)._element.nvPicPr.cNvPr.set("descr", "A crane")
    slide.shapes.add_picture(io.BytesIO(PNG), 0, 0)._element.nvPicPr.cNvPr.set("descr", "")

    blocks, notes = reading(slides, saved(deck))
    assert [block.text for block in blocks] == [
        "Slide 1",
        "Free\ntext",
        "In a group",
        "Sales: Q1 1.5, Q2 2",
        "[Image: A crane]",
    ]
    assert notes == ["1 image without text"]


def boxes_of(*places: tuple[str, float, float, float, float]) -> Presentation:
    """A slide with text boxes, drawn in this order: text, left, top, width, height in inches."""
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    for text, *place in places:
        slide.shapes.add_textbox(*map(Inches, place)).text_frame.text = text
    return deck


@pytest.mark.parametrize(
    "places",
    [
        [("c", 0, 4, 3, 1), ("a", 0, 0, 3, 1), ("b", 0, 2, 3, 1)],
        [("d", 4, 2.1, 3, 1), ("b", 4, 0, 3, 1), ("c", 0, 2, 3, 1), ("a", 0, 0.2, 3, 1)],
        # A column of three beside a tall box, below a line over both.
        [("e", 4, 1, 3, 5), ("d", 0, 5, 3, 1), ("b", 0, 1, 3, 1), ("c", 0, 3, 3, 1),
         ("a", 0, 0, 8, 1)],
        # Boxes that reach a little into each other.
        [("b", 0, 0.9, 3, 1), ("a", 0, 0, 3, 1), ("d", 2.9, 1.8, 3, 1), ("c", 0, 1.8, 3, 1)],
        # A label on a large box.
        [("c", 0.5, 2, 2, 0.5), ("b", 0.5, 1, 2, 0.5), ("a", 0, 0, 8, 5)],
    ],
)  # fmt: skip
def test_boxes_are_read_as_they_stand_on_the_slide(places):
    blocks, _ = reading(slides, saved(boxes_of(*places)))

    assert "".join(block.text for block in blocks[1:]) == "abcde"[: len(places)]


def test_a_group_stays_together_and_is_read_where_it_stands():
    deck = boxes_of(("end", 0, 5, 3, 1), ("begin", 0, 0, 3, 1))
    for left in (4, 0):
        group = deck.slides[0].shapes.add_group_shape()
        for top in (3, 2):
            box = group.shapes.add_textbox(Inches(left), Inches(top), Inches(3), Inches(1))
            box.text_frame.text = f"{left} {top}"

    blocks, _ = reading(slides, saved(deck))
    assert [block.text for block in blocks[1:]] == ["begin", "0 2", "0 3", "4 2", "4 3", "end"]


def test_a_body_is_read_where_the_layout_has_it_and_the_title_first():
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[3])
    below = slide.shapes.add_textbox(Inches(1), Inches(6.8), Inches(3), Inches(0.5))
    below.text_frame.text = "below"
    above = slide.shapes.add_textbox(Inches(1), Inches(0), Inches(3), Inches(0.2))
    above.text_frame.text = "above"
    slide.placeholders[2].text_frame.text = "right"
    slide.placeholders[1].text_frame.text = "left"
    slide.shapes.title.text = "Title"

    blocks, _ = reading(slides, saved(deck))
    assert [block.text for block in blocks] == ["Title", "above", "left", "right", "below"]


def test_slides_keep_their_order_and_hidden_ones_are_told_of():
    deck = Presentation()
    for title in ("One", "Two", "Three"):
        deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = title
    deck.slides[1]._element.set("show", "0")
    order = deck.slides._sldIdLst
    order.insert(0, order[2])

    blocks, notes = reading(slides, saved(deck))
    assert [(block.text, block.page) for block in blocks] == [("Three", 1), ("One", 2), ("Two", 3)]
    assert notes == ["hidden slide read too: 3"]


def test_a_merged_cell_of_a_slide_stands_once():
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    table = slide.shapes.add_table(2, 3, 0, 0, Inches(3), Inches(1)).table
    table.cell(0, 0).text, table.cell(1, 0).text = "Wide", "a"
    table.cell(1, 2).text = "c"
    table.cell(0, 0).merge(table.cell(0, 2))

    blocks, _ = reading(slides, saved(deck))
    assert blocks[1] == Block("row", "a |  | c", page=1, header="Wide")


# OpenDocument

OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
SPACES = " ".join(
    f'xmlns:{name}="{OFFICE}:{of}:1.0"'
    for name, of in (("office", "office"), ("text", "text"), ("table", "table"),
                     ("draw", "drawing"), ("svg", "svg-compatible"))
)  # fmt: skip


def odt_of(body: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        content = f"<office:body><office:text>{body}</office:text></office:body>"
        archive.writestr(
            "content.xml", f"<office:document-content {SPACES}>{content}</office:document-content>"
        )
    return made.getvalue()


def test_an_opendocument_text_is_read():
    body = (
        "<text:tracked-changes><text:deletion><text:p>old</text:p></text:deletion>"
        "</text:tracked-changes><text:h text:outline-level='2'>Berths</text:h>"
        "<text:p>Berth<text:s text:c='2'/>4<text:note><text:note-citation>1</text:note-citation>"
        "<text:note-body><text:p>Since 2020.</text:p></text:note-body></text:note> is"
        "<text:line-break/>deep<office:annotation><text:p>why</text:p></office:annotation>.</text:p>"
        "<text:list><text:list-item><text:p>a</text:p><text:list><text:list-item><text:p>b</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Part</text:p></table:table-cell>"
        "<table:table-cell><text:p>Price</text:p></table:table-cell></table:table-row>"
        "<table:table-row><table:table-cell table:number-columns-spanned='2'><text:p>free</text:p>"
        "</table:table-cell><table:covered-table-cell/></table:table-row></table:table>"
        "<text:p><draw:frame><draw:image/><svg:desc>A crane</svg:desc></draw:frame></text:p>"
    )

    assert reading(odt, odt_of(body)) == (
        [
            Block("heading", "Berths", level=2),
            Block("text", "Berth 4[1] is\ndeep."),
            Block("text", "[1] Since 2020."),
            Block("text", "- a\n  - b"),
            Block("row", "free", header="Part | Price"),
            Block("text", "[Image: A crane]"),
        ],
        ["1 footnote", "1 comment left out"],
    )


# All of them


@pytest.mark.parametrize("module", [spreadsheet, slides, odt])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (OLE, "password"),
        (b"PK\3\4 and then nothing", "damaged"),
        (b"%PDF-1.7", "damaged"),
        (odt_of("x" * 210_000_000), "unpacks to|damaged"),
    ],
    ids=["old", "cut", "pdf", "bomb"],
)
def test_what_cannot_be_read_is_refused_in_words(module, content, words):
    with pytest.raises(DocumentRejected, match=words):
        reading(module, content)


@pytest.mark.parametrize("module", [spreadsheet, slides, odt])
def test_any_byte_may_be_wrong(module):
    deck = Presentation()
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "Title"
    good = {
        spreadsheet: saved(workbook_of(S=[["a", "b"], ["1", "2"]])),
        slides: saved(deck),
        odt: odt_of("<text:p>Berth 4</text:p>"),
    }[module]
    for place in range(0, len(good), max(1, len(good) // 150)):
        broken = good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :]
        try:
            reading(module, broken)
        except DocumentRejected:
            continue
    assert reading(module, good)[0]
