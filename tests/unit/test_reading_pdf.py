"""What is made of a PDF."""

import base64
import zlib

import pytest

from services.errors import DocumentRejected
from services.reading import ocr
from services.reading.blocks import Block, Source
from services.reading.pdf import page_ranges, read
from services.reading.pdf_words import Style, Word
from tests.pdfs import PdfPage, file_of, pdf_of

STYLE = Style(10, False, False)
PROSE = (
    "The harbour office keeps a list of all ships that enter the port each day,",
    "and the clerk on duty writes the name of the captain and the cargo into it",
    "before the pilot goes on board and before any of the fees are paid at all.",
)


# A page that shows "Berth 4": with the password "secret", and with that for changes only.
LOCKED = zlib.decompress(
    base64.b85decode(
        "c-oy*O>5LZ7#6$@f`UgcBf20$%}g?1fu+!PyC_;(wzVEg50m-"
        "WM$$=1W~CMJ=t;c$3wrYCfAA(K{sG0ac=YBZyWL$_rP?F|Gw;Xq%)Ilw>1_4-"
        "OZXlKov+_Meg+sKSY}T_w+o`Js?;N8D%edCX4=L`uw}5k42;uFOgtC6b8=*0v?Yh82GLqMavow3J<N3t"
        "_aF&@1Gqnznk=NQNiU0X2*wz&!5)BUbL5NMg*9u}GXU~OZV+u4oy*noIIyDd(v(6$;=mmZN-"
        "w>EsM((L#`zl3G0DKx<)~7Dr9tZlZ#y|EWbWXMpmBg`dzATh*%-qSS7mM5l<2-"
        "Go*ADj38HnUN}anQjGp9f#nt(lp*ca6m4&_t?$T;VJP-"
        "V^bmf15hpVb`Q=Nxe<U{F4)ucohug5HV3g2e@ojvO1)|$$==6?1dhLO#~D8gtbcC4%E7jzJU{X{@B!O%"
        "IuJTh+R4<Jb!f9)$H55bl1r>|G8-MsT&j9z`Xy>arw-EisKCI7Pb>lWU<bouA$m-"
        ">2n@I!rCJKnkb=IXl!c#=DzU^9vtFQ4Pxg>g_DOr|@)u?QQ6Bu+`nc$@}zKQDY}xoF!<r)3rHdlPn%p>"
        "gn1nHXXOCn`}^s?1o5vE+$V#Hcvaf>Et>q6v#R!z9IAW>#}ULRlWeE{TzmF+-"
        "`0)0AtYtrT1;jagzD4Q(PaOAHMZoC--WBM5~xv(`$4k(lrO<H}fopa5w4Kt^dop@mZ$4n=Q0Zf2wDf(>"
        "J_XcNhTjT5q96J#+?u(>#2$-"
        "D>xZ|c9DKR02^;a5<4n2ekMfwLvVlX)*FtV=^ZV`XW=5zms$h%8ZzN?}++B(ZAwUqbd<(N`x&9`Z9K)?"
        "QY=EgVKX1)a|NW*__pJwlKH"
    )
)
LOCKED_AGAINST_CHANGES = zlib.decompress(
    base64.b85decode(
        "c-oy*O=}b}7zV*hPI~E049cRHc9KjolfbfQKNhVYEn7d3QZO@<SyQG-naN74{t179HwBLhf>5tsJ@^mo"
        "#j_X1i)LoGy9=vSJ2Qdg{dk@?Z=OtReYrc27h=%*a`@>pzz{*3Y=d?i1nZ^E2B|7xTc{`xaY#_o0i6y|"
        "CaYt}RP3GoT?K=6*;f?^mh8Ydh(T~eXBFIp)Ccz9)>LXZle#3GENmYPF<_0|1HszB725c9)T}1}^pD&i"
        "xTP{J7ww*BMgC=iK~9P14tmx}ry#1!Gfo*-"
        "K{h1msmcz@)U(uRUGHrsyM@#SP6%oT2sQ?ZYnHXqZ*fsps!0j1sp7G6I+Y+;F{#b8>BHc@Hdjrhj|}w="
        "g2WctNpR;Eed2N8JJ#6$0QW~#YE>SGTIjxXgL2fOllNniJ%(>G{>~mO>pWMbGWGdvLJWgk`%(DOO!A?w"
        "#-"
        "G=L4|XE~O$5WH1aniFzIz0zsQr~ImD~Yy&#rvE@N)I%sk0w{oqzY>bn)h#J@fke!xi`K;`6ynFAi+>{_"
        "xd@r*AK}wr~GfJ(#P3N4X=4XhJdJji-3;LE_a0!*K<ea9=Q_L{JgMM0j^s7tUX~V8cn1$<m+q8f-"
        "JhIig5#t{9bEDj~2;MaGeoDG7<Bf@XdsG)dDimNZM#C_^zpQ7W(?zAblQn<tTEVTw~s5|$-"
        "|_&_8@CPImFo+N}PIaN$i6*Dd=jwnKY9p!m05k`Fa?(dZ<2MBV2#t)1b3mMGe*oJ-"
        "68;_aTn3%C)%x7&poUz4}&e%AejpNZ&oGYa+yuj=JZ|En=m+XH9*1>Ri`LCPYLOhx;dxf>J<QeBQqHz="
        "_e&dSrD5bGVr9w0&yz?(1TaD<;{apv+BPCW&mab_WMzH{`*2-EJ{02DKkbe"
    )
)


def blocks_of(content: bytes) -> tuple[list[Block], list[str]]:
    source = Source("a.pdf", content)
    return list(read(source)), source.notes


def texts_of(*pages: PdfPage) -> list[str]:
    return [block.text for block in blocks_of(pdf_of(*pages))[0]]


def page_with(*lines: str) -> PdfPage:
    page = PdfPage()
    page.lines(60, 80, *lines)
    return page


def why_refused(content: bytes) -> str:
    with pytest.raises(DocumentRejected) as refused:
        blocks_of(content)
    return f"{refused.value} {refused.value.next_step}"


# Characters and words


def test_ligatures_are_letters():
    page = PdfPage()
    page.ligatures(60, 80, b"o\\003ce, certi\\001cate, work\\002ow, di\\004erent")

    assert texts_of(page) == ["office, certificate, workflow, different"]


def test_words_broken_at_the_ends_of_lines_are_joined():
    page = page_with(
        "The certificate is filed with the finance depart-",
        "ment after the review. The configura-",
        "tion of the fleet is effective from May.",
    )

    assert texts_of(page) == [
        "The certificate is filed with the finance department after the review. The configuration "
        "of the fleet is effective from May."
    ]


def test_the_hyphen_of_a_compound_stays_if_the_document_has_it_elsewhere():
    page = page_with(
        "A well-known rule holds for the pumps of this well-",
        "known maker, and the com-",
        "pany sells them.",
    )

    assert texts_of(page) == [
        "A well-known rule holds for the pumps of this well-known maker, "
        "and the company sells them."
    ]


@pytest.mark.parametrize(
    ("end", "start", "whole"),
    [
        ("Call 555-", "1234 now", "Call 555-1234 now"),
        ("It is in UTF-", "8 only", "It is in UTF-8 only"),
        ("Use --dry-", "run first", "Use --dry-run first"),
        ("A state-of-", "the-art pump", "A state-of-the-art pump"),
        ("Dr. Miller-", "Schmidt said so", "Dr. Miller-Schmidt said so"),
        ("a co\u00ad", "operative shop", "a cooperative shop"),
        ("it stays \u2013", "the dash", "it stays \u2013 the dash"),
    ],
)
def test_what_stands_at_the_end_of_a_line(end, start, whole):
    assert texts_of(page_with(end, start)) == [whole]


def test_numbers_of_footnotes_stay_in_their_line():
    page = PdfPage()
    page.text(60, 80, "The pump starts at once")
    page.text(172, 76.5, "3", size=7)
    page.text(60, 92, "when the valve is opened by hand, and it stops when it is closed.")

    assert texts_of(page)[0].startswith("The pump starts at once 3 when the valve is opened")


# Running headers, footers and page numbers


def test_the_note_on_a_header_shows_no_sign_for_the_number_of_the_page():
    pages = []
    for number in range(1, 7):
        page = page_with(f"Valve {number} has a torque of {10 + number} newton metres.")
        page.text(60, 30, f"{number} Pump manual", size=8)
        pages.append(page)

    _, notes = blocks_of(pdf_of(*pages))
    assert notes == ['running headers, footers or page numbers left out ("… Pump manual")']


def test_running_headers_and_footers_are_left_out_and_noted():
    pages = []
    for number in range(1, 13):
        page = PdfPage()
        page.text(60, 40, "ACME Pumps - Manual rev. 7 - CONFIDENTIAL", size=8)
        page.lines(
            60,
            100,
            f"Chapter {number}. Valve number {number} has a torque of {10 + number} newton metres.",
            f"The gasket is replaced every {100 * number} operating hours. The technician",
            "records the replacement in the log book and signs it before the pump",
        )
        page.text(60, 800, f"Copyright ACME 2024. Page {number} of 12", size=8)
        pages.append(page)

    blocks, notes = blocks_of(pdf_of(*pages))

    text = "\n".join(block.text for block in blocks)
    assert "CONFIDENTIAL" not in text and "Copyright" not in text
    assert text.count("records the replacement in the log book and signs it before the pump") == 12
    assert [b.page for b in blocks if b.text.startswith("Chapter 7.")] == [7]
    assert notes == [
        "running headers, footers or page numbers left out "
        '("ACME Pumps - Manual rev. 7 - CONFIDENTIAL")'
    ]


def test_page_numbers_that_do_not_begin_at_one_are_left_out():
    pages = []
    for number in range(6):
        page = page_with(f"Text {number} of the report, with words of its own.")
        page.text(290, 800, ("iv", "v", "vi", "1", "2", "3")[number])
        pages.append(page)

    assert texts_of(*pages) == [f"Text {n} of the report, with words of its own." for n in range(6)]


def test_headers_that_name_chapter_and_section_are_left_out():
    pages = []
    for number in range(10):
        page = PdfPage()
        page.text(60, 40, f"CHAPTER {1 + number // 5}. PUMPS AND VALVES")
        page.text(350, 40, f"Section about part {number}")
        page.lines(60, 100, f"Text {number} " + PROSE[0], *PROSE[1:])
        pages.append(page)

    assert not any("CHAPTER" in text for text in texts_of(*pages))


def test_the_numbers_of_a_table_at_the_foot_of_pages_stay():
    pages = []
    for number in range(3):
        page = page_with("Sums of the month")
        page.lines(60, 780, f"Total {number * 37 + 5}", f"Sum {number * 11 + 900}")
        pages.append(page)

    assert sum("Total" in text for text in texts_of(*pages)) == 3


# Order


def test_columns_are_read_one_after_the_other():
    page = PdfPage()
    left = (
        "Employees may claim travel costs",
        "within thirty days of the trip. Claims",
        "that arrive later are refused unless the",
        "manager signs a waiver. Receipts above",
        "25 euros must be attached.",
    )
    right = (
        "The laptop loan scheme lends devices",
        "for up to two weeks. A damaged device",
        "is repaired by the help desk at no cost.",
        "Lost devices are charged at half the",
        "purchase price.",
    )
    for number, (one, other) in enumerate(zip(left, right, strict=True)):
        page.text(60, 100 + 14 * number, one)
        page.text(310, 100 + 14 * number, other)

    assert texts_of(page) == [" ".join(left), " ".join(right)]


def test_headings_over_all_columns_part_them():
    page = PdfPage()
    for top, part in ((80, "first"), (260, "second")):
        page.text(60, top, f"The {part} part", size=16)
        for column in range(3):
            for line in range(6):
                at = 60 + 170 * column
                words = f"{part} {column} line {line} runs on a bit"
                page.text(at, top + 30 + 12 * line, words)

    texts = texts_of(page)

    assert texts[0] == "The first part"
    second = texts.index("The second part")
    body = " ".join(texts[1:second])
    places = [body.index(f"first {column} line {line}") for column in range(3) for line in range(6)]
    assert places == sorted(places)
    assert "second 2 line 5" in " ".join(texts[second:])


def test_a_sentence_goes_on_over_the_end_of_a_page():
    first, second = page_with(*PROSE[:2]), page_with(*PROSE[2:])
    first.text(60, 700, "1 A note at the foot of the page.", size=7)

    blocks, _ = blocks_of(pdf_of(first, second))

    assert [(b.page, b.text) for b in blocks] == [
        (1, " ".join(PROSE)),
        (1, "1 A note at the foot of the page."),
    ]


def test_turned_pages_and_sideways_words_are_read():
    turned, stamped = PdfPage(rotate=90), page_with(*PROSE)
    for number in range(4):
        turned.sideways(100 + 14 * number, 700, f"Turned line {number} with some words.")
    stamped.sideways(30, 600, "Stamp of the archive")

    texts = texts_of(turned, stamped)

    assert texts[0] == " ".join(f"Turned line {n} with some words." for n in range(4))
    assert texts[1:] == [" ".join(PROSE), "Stamp of the archive"]


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_hyphen_at_the_end_of_a_line_is_decided_alike_however_a_page_is_turned(rotate):
    lines = ("The method is well-", "known, and its self-", "ishness is de-", "scribed in a rule-",
             "book. A rule is a book.")  # fmt: skip
    flat, up = PdfPage(rotate=rotate), PdfPage(rotate=rotate)
    flat.lines(60, 100, *lines)
    for number, line in enumerate(lines):
        up.sideways(100 + 12 * number, 700, line)

    text = (
        "The method is well-known, and its selfishness is described in a rule-book. "
        "A rule is a book."
    )
    assert texts_of(flat) == texts_of(up) == [text]


def test_a_page_on_its_head_is_read():
    turned, scanned, stamped = PdfPage(rotate=180), PdfPage(), page_with(*PROSE)
    turned.lines(60, 100, *PROSE)
    for number, line in enumerate(PROSE):
        scanned.overturned(500, 600 - 12 * number, line)
    stamped.overturned(300, 60, "Stamp of the archive")

    assert texts_of(turned) == [" ".join(PROSE)]
    assert texts_of(scanned) == [" ".join(PROSE)]
    assert texts_of(stamped) == [" ".join(PROSE), "Stamp of the archive"]


# Tables


def test_a_table_without_lines_has_a_row_on_a_line_and_its_header():
    page = PdfPage()
    page.text(60, 80, "Table 3. Shipping fees by zone")
    rows = (
        ("Zone", "Weight limit", "Fee", "Delivery time"),
        ("Domestic", "20 kg", "4.90 EUR", "2 days"),
        ("EU", "", "12.50 EUR", "4 days"),
        ("Overseas", "10 kg", "29.00 EUR", "12 days"),
    )
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            page.text(60 + 110 * column, 110 + 16 * number, cell)

    blocks, _ = blocks_of(pdf_of(page))

    header = "Zone | Weight limit | Fee | Delivery time"
    assert [(b.kind, b.text, b.header) for b in blocks] == [
        ("text", "Table 3. Shipping fees by zone", ""),
        ("row", "Domestic | 20 kg | 4.90 EUR | 2 days", header),
        ("row", "EU |  | 12.50 EUR | 4 days", header),
        ("row", "Overseas | 10 kg | 29.00 EUR | 12 days", header),
    ]


CELLS_OF_LINES = {
    "a cell": [("Part", "Use", "Price"), ("Valve", "Shuts the line\nat once", "12"),
               ("Pump", "Moves water\nuphill", "9"), ("Gear", "Turns", "7")],
    "two cells": [("Part", "Use", "Price"), ("Valve of\nbrass", "Shuts the line\nat once", "12"),
                  ("Pump of\niron", "Moves water\nuphill", "9"), ("Gear", "Turns", "7")],
    "three lines": [("Name", "Meaning", "Since"), ("alpha", "The first letter", "1999"),
                    ("beta", "The second letter of the\nalphabet, which is used\nhere", "2001"),
                    ("gamma\nprime", "The third", "2004")],
    "the header": [("Part", "Delivery\ntime", "Price in\nEUR"), ("Valve", "2 days", "12"),
                   ("Pump", "3 days", "9"), ("Gear", "4 days", "7")],
    "two columns": [("Option", "What it does"), ("-a", "Shows all files, also\nthe hidden ones"),
                    ("-b", "Short\nform"), ("-c", "Counts")],
}  # fmt: skip


@pytest.mark.parametrize("rows", CELLS_OF_LINES.values(), ids=CELLS_OF_LINES)
@pytest.mark.parametrize("above", [0, 0.5, 1], ids=["top", "middle", "bottom"])
@pytest.mark.parametrize("room", [3, 6])
def test_cells_of_several_lines_are_whole_where_rows_have_more_room(rows, above, room):
    """`above` is the share of the free height of a cell that is above its text."""
    page, y = PdfPage(), 110.0
    for row in rows:
        height = 12 * max(cell.count("\n") + 1 for cell in row)
        for x, cell in zip((60, 170, 320), row, strict=False):
            lines = cell.split("\n")
            page.lines(x, y + above * (height - 12 * len(lines)), *lines)
        y += height + room

    blocks, _ = blocks_of(pdf_of(page))

    header, *texts = [" | ".join(row).replace("\n", " ") for row in rows]
    assert [block.text for block in blocks] in (texts, [header, *texts])
    assert {block.header for block in blocks} in ({header}, {""})


def test_rows_of_one_line_with_room_after_every_third_are_rows():
    page = PdfPage()
    for number in range(9):
        for x, cell in zip(
            (60, 170, 320), (f"part {number}", "iron", f"{number} EUR"), strict=True
        ):
            page.text(x, 100 + 12 * number + 6 * (number // 3), cell)

    assert texts_of(page) == [f"part {number} | iron | {number} EUR" for number in range(9)]


def ruled(page: PdfPage, top: float, rows: list[tuple[str, str]]) -> None:
    for number, (name, value) in enumerate(rows):
        page.text(65, top + 12 + 30 * number, name)
        for line, words in enumerate(value.split("\n")):
            page.text(165, top + 12 + 30 * number + 12 * line, words)
    for number in range(len(rows) + 1):
        page.rule(60, top + 30 * number, 400, top + 30 * number)
    for x in (60, 160, 400):
        page.rule(x, top, x, top + 30 * len(rows))


def test_cells_with_several_lines_are_whole_in_a_table_with_lines():
    page = PdfPage()
    ruled(
        page,
        100,
        [("Part", "Torque"), ("Valve", "12 Nm, and 14\nwhen it is hot"), ("Pump", "9 Nm")],
    )

    blocks, _ = blocks_of(pdf_of(page))

    assert [(b.kind, b.text, b.header) for b in blocks] == [
        ("row", "Valve | 12 Nm, and 14 when it is hot", "Part | Torque"),
        ("row", "Pump | 9 Nm", "Part | Torque"),
    ]


def test_a_table_that_goes_on_on_the_next_page_keeps_its_header():
    first, second = PdfPage(), PdfPage()
    ruled(first, 100, [("Part", "Torque"), ("Valve", "12 Nm"), ("Pump", "9 Nm")])
    ruled(second, 60, [("Gear", "7 Nm"), ("Axle", "30 Nm")])

    blocks, _ = blocks_of(pdf_of(first, second))

    assert [(b.page, b.text, b.header) for b in blocks] == [
        (1, "Valve | 12 Nm", "Part | Torque"),
        (1, "Pump | 9 Nm", "Part | Torque"),
        (2, "Gear | 7 Nm", "Part | Torque"),
        (2, "Axle | 30 Nm", "Part | Torque"),
    ]


# Headings, code and lists


def test_larger_lines_are_headings_and_comments_in_code_are_not():
    page = PdfPage()
    page.text(60, 80, "Set up the server", size=18)
    page.lines(60, 110, *PROSE)
    page.lines(
        80, 160, "# install the packages", "sudo apt install nginx", "    nginx -t", font="mono"
    )
    page.text(60, 220, "Check the logs", size=14)
    page.lines(60, 240, *PROSE)

    blocks, _ = blocks_of(pdf_of(page))

    assert [(b.kind, b.level, b.text) for b in blocks] == [
        ("heading", 1, "Set up the server"),
        ("text", 0, " ".join(PROSE)),
        ("code", 0, "# install the packages\nsudo apt install nginx\n    nginx -t"),
        ("heading", 2, "Check the logs"),
        ("text", 0, " ".join(PROSE)),
    ]


def test_lines_with_a_bookmark_are_headings():
    page = page_with("2.1 Oil")
    page.lines(60, 110, *PROSE)

    blocks, _ = blocks_of(pdf_of(page, bookmarks=(("Oil", 0),)))

    assert [(b.kind, b.level, b.text) for b in blocks] == [
        ("heading", 1, "2.1 Oil"),
        ("text", 0, " ".join(PROSE)),
    ]


def test_bold_lines_above_text_are_headings_and_lines_of_lists_are_not():
    page = PdfPage()
    page.text(60, 80, "Maintenance", font="bold")
    page.lines(60, 100, *PROSE)
    page.text(60, 160, "\u2022 Check the oil", font="bold")
    page.text(60, 172, "\u2022 Check the seal")

    blocks, _ = blocks_of(pdf_of(page))

    assert [(b.kind, b.text) for b in blocks] == [
        ("heading", "Maintenance"),
        ("text", " ".join(PROSE)),
        ("text", "- Check the oil\n- Check the seal"),
    ]


def test_a_list_has_an_item_on_each_line():
    page = PdfPage()
    page.lines(
        60, 80, "1. Open the tray and take out the old filter with both of your hands,", leading=12
    )
    page.text(75, 92, "then clean it.")
    page.text(60, 104, "2. Close the tray.")

    assert texts_of(page) == [
        "1. Open the tray and take out the old filter with both of your hands, then clean it.\n"
        "2. Close the tray."
    ]


def test_the_lines_of_a_table_of_contents_are_no_headings():
    page = PdfPage()
    page.text(60, 60, "Contents", size=16)
    for number in range(1, 7):
        page.text(
            60, 80 + 14 * number, f"{number} Part . . . . . . . . . . . . {number * 4}", size=12
        )
    page.lines(60, 300, *PROSE * 3)

    blocks, _ = blocks_of(pdf_of(page))

    assert [b.text for b in blocks if b.kind == "heading"] == ["Contents"]
    assert blocks[1].text.splitlines()[2] == "3 Part \u2026 12"


# Forms


def test_values_of_form_fields_stand_beside_their_labels():
    page = PdfPage()
    page.text(60, 100, "Name:")
    page.field(120, 103, "name", "Jane Doe")
    page.field(120, 403, "remark", "Away in May")
    page.text(90, 200, "Paid leave")
    page.checkbox(60, 201, "paid", ticked=True)
    page.text(90, 230, "Sick leave")
    page.checkbox(60, 231, "sick", ticked=False)

    assert texts_of(page) == [
        "Name: Jane Doe",
        "[x] Paid leave",
        "[ ] Sick leave",
        "remark: Away in May",
    ]


def test_a_radio_button_says_its_value_unless_it_is_printed():
    page = PdfPage()
    page.radio(60, 101, "size", "large", ticked=True)
    page.radio(90, 101, "other", "small", ticked=False)
    page.text(80, 200, "Weekly")
    page.radio(60, 201, "often", "weekly", ticked=True)

    assert texts_of(page) == ["size: [x] large other: [ ] small", "[x] Weekly"]


# What cannot be read


def test_pages_without_text_are_named(monkeypatch):
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    pictures = [PdfPage() for _ in range(9)]
    for page in pictures:
        page.picture()

    blocks, notes = blocks_of(pdf_of(page_with("Cover sheet: see the attached scans."), *pictures))

    assert [b.text for b in blocks] == ["Cover sheet: see the attached scans."]
    assert notes == [
        "9 of 10 pages hold no text: 2-10. To read them, install text recognition (OCR): "
        "pip install -r requirements-ocr.txt"
    ]


def test_a_blank_page_is_named_without_offering_recognition():
    _, notes = blocks_of(pdf_of(page_with("Text"), PdfPage()))

    assert notes == ["1 of 2 pages holds no text: 2"]


def test_page_ranges_are_short():
    assert page_ranges([2, 3, 4, 7, 9, 10]) == "2-4, 7, 9-10"
    assert page_ranges(list(range(1, 100, 2))).endswith("21, 23, \u2026")


def test_a_document_of_pictures_is_refused_with_an_offer(monkeypatch):
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    page = PdfPage()
    page.picture()

    why = why_refused(pdf_of(page))

    assert why.startswith("a.pdf holds no text, only images of pages: it looks scanned.")
    assert "pip install -r requirements-ocr.txt" in why


def test_blank_pages_alone_are_empty():
    assert why_refused(pdf_of(PdfPage(), PdfPage())).startswith("a.pdf is empty.")


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7 and then nothing", pdf_of(page_with("Berth 4"))[:300], b"Hello"]
)
def test_a_damaged_file_is_refused(content):
    assert why_refused(content).startswith("a.pdf is damaged")


def test_a_locked_file_is_refused_and_one_locked_against_changes_is_read():
    assert "protected by a password" in why_refused(LOCKED)
    assert [block.text for block in blocks_of(LOCKED_AGAINST_CHANGES)[0]] == ["Berth 4"]


def test_more_text_than_a_document_may_hold_is_refused_while_it_is_read(monkeypatch):
    monkeypatch.setattr("services.reading.pdf.MAX_CHARACTERS", 300)

    assert "contains more than" in why_refused(pdf_of(*[page_with(*PROSE)] * 3))


def test_text_in_pictures_is_recognized_if_that_is_installed(monkeypatch):
    def words(page, on_step):
        on_step()
        return [Word(60, 100, 80, "Scanned", STYLE, 0), Word(104, 130, 80, "text", STYLE, 8)]

    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(ocr, "words_in_picture", words)
    picture = PdfPage()
    picture.picture()

    blocks, notes = blocks_of(pdf_of(page_with("Cover sheet."), picture))

    assert [(b.page, b.text) for b in blocks] == [(1, "Cover sheet."), (2, "Scanned text")]
    assert notes == ["text recognized in pictures (OCR) on page 2"]


def test_pages_in_which_nothing_is_recognized_are_named(monkeypatch):
    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(ocr, "words_in_picture", lambda page, on_step: [])
    picture = PdfPage()
    picture.picture()

    _, notes = blocks_of(pdf_of(page_with("Cover sheet."), picture))

    assert notes == [
        "1 of 2 pages holds no text: 2. Nothing was recognized in their pictures, "
        "or recognition took too long"
    ]


def test_failed_recognition_is_told(monkeypatch):
    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(ocr, "words_in_picture", lambda page, on_step: None)
    picture = PdfPage()
    picture.picture()

    assert "text recognition (OCR) failed" in why_refused(pdf_of(picture))


def test_pages_that_are_all_alike_keep_their_text():
    assert texts_of(*[page_with(*PROSE)] * 5) == [" ".join(PROSE)] * 5


def test_spaces_that_groff_sets_narrow_are_seen():
    page = PdfPage()
    page.text(60, 80, "A")
    page.text(60 + 6.67 + 2.2, 80, "token of the shell")

    assert texts_of(page) == ["A token of the shell"]


def test_an_address_broken_at_the_end_of_a_line_is_whole():
    page = page_with("It is described at https://www.example.org/doc/", "policy/a-1.html in full.")

    assert texts_of(page) == [
        "It is described at https://www.example.org/doc/policy/a-1.html in full."
    ]


def test_too_many_pages_are_refused():
    count = 50_001
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[%s]/Count %d>>" % (b"3 0 R " * count, count),
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
    }

    assert "At most 50,000 can be read" in why_refused(file_of(objects))


def test_pages_that_would_take_longer_than_a_file_may_are_refused_at_the_first_ones(monkeypatch):
    shares: list[float] = []
    monkeypatch.setattr("services.reading.pdf._MOST_AHEAD_S", 0.0)
    monkeypatch.setattr("services.reading.pdf.MAX_FILE_S", 0.0)
    source = Source("a.pdf", pdf_of(*[page_with("Text")] * 200), on_progress=shares.append)
    with pytest.raises(DocumentRejected, match="takes too long to read"):
        list(read(source))
    assert len(shares) < 10


def test_progress_is_told_by_page():
    shares: list[float] = []
    source = Source("a.pdf", pdf_of(*[page_with("Text")] * 4), on_progress=shares.append)

    list(read(source))

    assert shares[:4] == pytest.approx([0.175, 0.35, 0.525, 0.7])
    assert shares[-1] == 1.0
