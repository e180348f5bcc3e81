"""CSV and TSV: what their reader makes of them."""

from __future__ import annotations

import csv
import io
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import DocumentRejected
from services.reading.blocks import Block, Source
from services.reading.delimited import dialect_of, read
from services.reading.tables import has_header, named


def rows_of(content: str | bytes, name: str = "a.csv") -> list[str]:
    encoded = content.encode() if isinstance(content, str) else content
    return [block.text for block in read(Source(name, encoded))]


def test_doubled_quotes_and_quoted_line_ends_keep_their_cells():
    assert rows_of(
        "ticket,question,answer,status\n"
        '1,"Printer jams\nafter update","Open the tray, say ""ready"", then close","closed"\n'
        '2,VPN is slow,"Use the second gateway, not the first",open\n'
    ) == [
        "ticket: 1\nquestion: Printer jams after update\n"
        'answer: Open the tray, say "ready", then close\nstatus: closed',
        "ticket: 2\nquestion: VPN is slow\nanswer: Use the second gateway, not the first\n"
        "status: open",
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("parting", ["{} ", " {} ", "  {}", "{}"])
def test_blanks_may_stand_around_quotes(delimiter, parting):
    parting = parting.format(delimiter)
    lines = [
        ["part", '"note"', '"price"'],
        ['"pump"', f'"deep{delimiter} ""wide""{delimiter} long"', "12"],
        [' "valve"', f'"a {delimiter} b\nc" ', '"1,5" '],
    ]

    assert rows_of("".join(parting.join(line) + "\n" for line in lines)) == [
        f'part: pump\nnote: deep{delimiter} "wide"{delimiter} long\nprice: 12',
        f"part: valve\nnote: a {delimiter} b c\nprice: 1,5",
    ]


def test_long_quoted_texts_after_blanks_are_cells():
    texts = [f"It costs, all in all, {n} euros, or a little more, as it seems" for n in range(5)]

    assert rows_of("id, note\n" + "".join(f'{n}, "{text}"\n' for n, text in enumerate(texts))) == [
        f"id: {n}\nnote: {text}" for n, text in enumerate(texts)
    ]


def test_each_row_is_a_block_that_names_its_columns_itself():
    assert list(read(Source("a.csv", b"berth,depth\n4,12\n"))) == [
        Block("row", "berth: 4\ndepth: 12", header="")
    ]


def test_repeated_headings_are_told_apart():
    content = "item,price,price,note,note\npump,100,90,list price,partner price\n"

    assert rows_of(content) == [
        "item: pump\nprice: 100\nprice (2): 90\nnote: list price\nnote (2): partner price"
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (["a", "", "a", ""], ["a", "column 2", "a (2)", "column 4"]),
        (["a", "a (2)", "a"], ["a", "a (2)", "a (3)"]),
        ([" a ", "a\nb", "a", "a", "a"], ["a", "a b", "a (2)", "a (3)", "a (4)"]),
        (["column 2", ""], ["column 2", "column 2 (2)"]),
    ],
)
def test_no_two_columns_have_the_same_name(header, expected):
    assert named(header) == expected


def test_blank_headings_lose_no_column():
    assert rows_of(
        'machine;;;state;hours;\n"Press A";"hall 1";"line 2";ok;1200;\n'
        'Press B;;;"repair, urgent";9;\n'
    ) == [
        "machine: Press A\ncolumn 2: hall 1\ncolumn 3: line 2\nstate: ok\nhours: 1200",
        "machine: Press B\nstate: repair, urgent\nhours: 9",
    ]


@pytest.mark.parametrize(
    "content",
    [
        "2024-01-03,Berlin,rain\n2024-01-04,Berlin,snow\n",
        "17,Berlin,rain\n18,Bonn,snow\n",
        "Berlin,rain,x\nBonn,snow,y\nBerlin,sun,z\n",
        "ann@example.org,Ann\nbob@example.org,Bob\n",
        "€ 4.20,tea\n€ 5,coffee\n",
    ],
)
def test_without_headings_the_first_row_is_a_row(content):
    assert rows_of(content) == [
        line.replace(",", " | ") for line in content.splitlines()
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "The pump leaks.\nThe valve is stuck.\nNo water at all.\n",
        "The pump leaks, and is loud\nThe valve is stuck\nNo water at berth 4\n",
        "the pump leaks since May\nThe valve is stuck.\nNo water at all\nIt is cold.\n",
        "Where is berth 4?\nWho has the key?\nWhen is it open?\n",
        "Where is berth 4?\nWho has the key?\n",
        "Berlin\nParis\nRome\n",
        "red\ngreen\nblue\n",
        "SKU-001\nSKU-002\nSKU-003\n",
        "Paris\nParis\nRome\n",
        "\u6cf5\u6f0f\u6c34\u3002\n\u9600\u95e8\u5361\u4f4f\u3002\n\u6ca1\u6709\u6c34\u3002\n",
    ],
)
def test_the_first_line_of_one_column_is_no_heading_if_it_is_like_the_others(content):
    assert rows_of(content) == content.splitlines()


@pytest.mark.parametrize(
    "content",
    [
        "Complaint\nThe pump leaks.\nThe valve is stuck.\nNo water\n",
        "What did you like?\nThe staff\nThe view over the harbour\nNothing\n",
        "Please say in your own words what happened\n" + 3 * f"It began{' and went on' * 20}\n",
        "name\nAnn\nBob\n",
        "NAME\nAnn\nBob\n",
        "part_no\nSKU\nPKU\n",
        "Part\nSKU-001\nSKU-002\n",
        "Price\n12\n13\n",
        "City:\nBerlin\nParis\n",
        "Address\nann@example.org\nbob@example.org\n",
    ],
)
def test_the_first_line_of_one_column_is_its_heading_if_it_differs_in_kind(content):
    name, *lines = content.splitlines()
    assert [text.partition(": ")[2] for text in rows_of(content)] == lines
    assert all(text.startswith(name) for text in rows_of(content))


def test_years_are_headings():
    assert rows_of("country,2019,2020\nFrance,1,2\n") == ["country: France\n2019: 1\n2020: 2"]


def test_one_column_is_never_cut():
    content = (
        "feedback\nThe food was good, the room was small\nLoud; but friendly staff, and clean\n"
        "Too cold\n"
    )

    assert rows_of(content) == [f"feedback: {line}" for line in content.splitlines()[1:]]


@pytest.mark.parametrize(
    "content",
    [
        "comment\nGreat service, will return\nBad food, cold room\n",
        "text\nFirst, second, third\nOne, two\nNo comma at all\nTwo, again\n",
        "question\nWhere is berth 4?\n",
        "log\na|b happened\nthen c\nthen d; e\n",
    ],
)
def test_text_with_some_commas_is_one_column(content):
    name, *lines = content.splitlines()
    assert rows_of(content) == [f"{name}: {line}" for line in lines]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_all_rows_share(delimiter):
    rows = [["berth", "depth", "note"], ["4", "12", "deep, calm; wide | x"], ["5", "1,5", "a b"]]
    made = io.StringIO()
    csv.writer(made, delimiter=delimiter).writerows(rows)

    assert rows_of(made.getvalue()) == [
        "berth: 4\ndepth: 12\nnote: deep, calm; wide | x",
        "berth: 5\ndepth: 1,5\nnote: a b",
    ]


def test_decimal_commas_do_not_cut_cells():
    assert rows_of("name;price\npump;1,5\nvalve;2,5\nhose;3,0\n")[0] == "name: pump\nprice: 1,5"


def test_rows_may_have_more_or_fewer_cells_than_there_are_headings():
    assert rows_of("a,b,c\n1,2,3\n4\n5,6,7,8,9\n\n1,,3\n") == [
        "a: 1\nb: 2\nc: 3",
        "a: 4",
        "a: 5\nb: 6\nc: 7\ncolumn 4: 8\ncolumn 5: 9",
        "a: 1\nc: 3",
    ]


def test_lines_above_the_headings_are_text():
    content = "Report of March\nPlant: Bonn\n\nitem,price,stock\npump,100,5\nvalve,20,70\n"

    assert list(read(Source("a.csv", content.encode()))) == [
        Block("text", "Report of March"),
        Block("text", "Plant: Bonn"),
        Block("row", "item: pump\nprice: 100\nstock: 5"),
        Block("row", "item: valve\nprice: 20\nstock: 70"),
    ]


def test_lines_above_the_headings_may_be_filled_up_with_commas():
    content = "Report of March,,\n,,\nitem,price,stock\npump,100,5\n"

    assert rows_of(content) == ["Report of March", "item: pump\nprice: 100\nstock: 5"]


def test_a_heading_without_any_value_is_named_at_the_end():
    assert rows_of("a,b,c\n1,,\n2,,\n") == ["a: 1", "a: 2", "Columns without values: b, c"]


def test_a_single_row_is_a_row():
    assert rows_of("berth,depth\n") == ["berth | depth"]


def test_the_line_that_names_the_delimiter_is_followed_and_left_out():
    assert rows_of("sep=;\r\na;b\r\n1,5;x\r\n") == ["a: 1,5\nb: x"]


def test_tabs_cut_a_tsv_even_where_commas_would():
    assert rows_of("name, first\tage\nAnn, B\t4\nBo, C\t5\n", "a.tsv") == [
        "name, first: Ann, B\nage: 4",
        "name, first: Bo, C\nage: 5",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_the_encoding_is_found(encoding):
    content = "Stadt;Größe\nKöln;groß\nMünchen;größer\n".encode(encoding)

    assert rows_of(content) == ["Stadt: Köln\nGröße: groß", "Stadt: München\nGröße: größer"]


def test_zero_bytes_are_no_text():
    assert rows_of(b"a,b\n1,\x002\n") == ["a: 1\nb: 2"]


def test_a_quote_that_is_never_closed_swallows_no_rows():
    assert rows_of('size,name\n"5 inch,pipe\n4,"say ""x"", y"\n3,z\n') == [
        'size: "5 inch\nname: pipe',
        'size: 4\nname: say "x", y',
        "size: 3\nname: z",
    ]


def test_many_quotes_that_are_never_closed_lose_no_row():
    content = "a,b\n" + '"x,y\n' * 20_000

    assert rows_of(content) == ['a: "x\nb: y'] * 20_000


def test_a_quote_within_a_cell_is_a_sign():
    assert rows_of('size,name\n5" pipe,steel\n4" pipe,iron\n') == [
        'size: 5" pipe\nname: steel',
        'size: 4" pipe\nname: iron',
    ]


def test_quotes_after_backslashes_do_not_shift_columns():
    assert rows_of('a,b,c\n1,"say \\"hi\\", Bob",x\n2,"C:\\temp",y\n') == [
        'a: 1\nb: say "hi", Bob\nc: x',
        "a: 2\nb: C:\\temp\nc: y",
    ]


def test_a_cell_may_have_any_length():
    long = "word " * 60_000

    assert rows_of(f'a,b\n1,"{long}"\n') == [f"a: 1\nb: {long.strip()}"]


def test_a_cell_that_ends_in_a_backslash_keeps_it():
    assert rows_of('"a ""b"", c","\\"\n') == ['a "b", c | \\']


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co", "Zl", "Zp")), max_size=12)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.lists(CELLS | st.just("12") | st.just('a "b", c'), max_size=5), max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_no_value_of_any_cell_is_lost(rows, delimiter, encoding, quoting):
    made = io.StringIO()
    csv.writer(made, delimiter=delimiter, quoting=quoting).writerows(rows)
    content = made.getvalue().encode(encoding)
    read_text = "".join("\n".join(rows_of(content)).split()) if content else ""

    for row in rows:
        for value in row:
            # In a few ragged rows it may be open which sign parts cells: no word is lost.
            for word in re.split(r'[\s",;|]+', value):
                assert word in read_text


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        # A backslash before a quote may be meant to be one with it.
        st.lists(
            CELLS.filter(lambda cell: cell[-1:] != "\\") | st.just('a "b", c; d'),
            min_size=2,
            max_size=4,
        ),
        max_size=6,
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["{} ", " {}", " {} "]),
)
def test_no_value_in_quotes_with_blanks_around_them_is_lost(rows, delimiter, parting):
    parting = parting.format(delimiter)
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows]
    read_text = "".join("\n".join(rows_of("\n".join(map(parting.join, quoted)) or " ")).split())

    for row in rows:
        for value in row:
            for word in re.split(r'[\s",;|]+', value):
                assert word in read_text


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,0;2,0\n", ";"),
        ("a\tb,c\n1\t2\n", "\t"),
        ("just, some prose\nwithout a table\nat all, really\n", "\x1f"),
        ("", "\x1f"),
    ],
)
def test_the_delimiter_of_a_sample(sample, expected):
    assert dialect_of(sample)[0] == expected


def test_values_are_no_headings():
    assert not has_header([["12", "a"], ["13", "b"]])
    assert has_header([["no", "a"], ["13", "b"]])
    assert not has_header([])


def test_a_hundred_thousand_rows_take_a_few_seconds():
    content = b"id,name,price,note\n" + b'17,"pump, small",12.50,ready\n' * 100_000
    began = time.process_time()

    assert len(rows_of(content)) == 100_000
    assert time.process_time() - began < 6


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("content", [b"\0\1\2\3" * 50, b"PK\3\4 and more", b"%PDF-1.7\n1 0 obj"])
def test_what_is_no_text_is_refused(name, content):
    with pytest.raises(DocumentRejected, match="text"):
        rows_of(content, name)


def test_lines_above_the_table_may_be_cut_as_well():
    content = (
        "Report of January\nDepartment: Sales, North\n\nRegion,Units,Date\n"
        "North,5,2026-01-02\nSouth,7,2026-01-03\n"
    )

    assert rows_of(content) == [
        "Report of January",
        "Department: Sales | North",
        "Region: North\nUnits: 5\nDate: 2026-01-02",
        "Region: South\nUnits: 7\nDate: 2026-01-03",
    ]


def test_headings_of_fewer_columns_than_the_rows_stay_headings():
    content = "Report\nitem,price\npump,100,sold out\nvalve,20,in stock\n"

    assert rows_of(content) == [
        "Report",
        "item: pump\nprice: 100\ncolumn 3: sold out",
        "item: valve\nprice: 20\ncolumn 3: in stock",
    ]
