"""Web pages: what their reader makes of them."""

from __future__ import annotations

import time

import pytest

from services.errors import DocumentRejected
from services.reading.blocks import Block, Source
from services.reading.files import read_file
from services.reading.html import read


def blocks_of(page: str | bytes, name: str = "a.html") -> list[Block]:
    return list(read(Source(name, page.encode() if isinstance(page, str) else page)))


def texts_of(page: str | bytes, name: str = "a.html") -> list[str]:
    return [block.text for block in blocks_of(page, name)]


def notes_of(page: str) -> list[str]:
    source = Source("a.html", page.encode())
    list(read(source))
    return source.notes


LONG = "The harbour master keeps the berth plan and answers for it every day of the year. " * 3


def test_nothing_is_escaped():
    page = "<p>Set max_connections in pg_hba and run pg_dump, then a*b &lt; 3 [x] # 1.</p>"

    assert texts_of(page) == [
        "Set max_connections in pg_hba and run pg_dump, then a*b < 3 [x] # 1."
    ]


def test_what_stands_around_the_text_is_left_out_and_told_of():
    page = f"""<html><head><style>p{{}}</style></head><body>
        <a class="skip-link" href="#main">Skip to content</a>
        <nav><ul><li><a href="/">Home</a><li><a href="/x">Products</a></ul></nav>
        <div id="nav"><a href="/y">Old menu</a></div>
        <div class="cookie-banner">We use cookies. <button>Accept</button></div>
        <h1>Dues</h1><p>{LONG}</p><p hidden>Secret</p><p style="display:none">Gone</p>
        <span aria-hidden="true">icon</span><script>x()</script><template>t</template>
        <footer>Copyright 2024</footer><div class="footer">Imprint</div></body></html>"""

    assert texts_of(page) == ["Dues", LONG.strip()]
    assert notes_of(page) == ["a cookie notice, a page footer, hidden text, navigation left out"]


@pytest.mark.parametrize(
    "page",
    [
        "<nav><p>The only text of this page.</p></nav>",
        "<body aria-hidden='true'><p>The only text of this page.</p></body>",
        "<footer>The only text of this page.</footer>",
        "<div class='cookie-notice'>The only text of this page.</div>",
        "<nav><a href='x'>The only text of this page.</a></nav>",
        "<center><font>The only text of this page.</font></center>",
        "The only text of this page.",
        "<custom-element>The only text of this page.",
    ],
)
def test_asides_are_text_where_nothing_else_is(page):
    assert texts_of(page) == ["The only text of this page."]


@pytest.mark.parametrize(
    "aside",
    [
        "<nav><a href='x'>Home</a> <a href='y'>All our many products and services</a></nav>",
        "<div hidden>What only a script would show, and nobody has seen.</div>",
        "<div class='cookie-banner'>We use cookies to make this page worse than it is.</div>",
        "<footer>Copyright 2024, and the address of our office in the harbour.</footer>",
    ],
)
def test_asides_are_left_out_of_a_page_of_one_word_too(aside):
    assert texts_of(f"{aside}<main><h1>Dues</h1><p>Pay.</p></main>{aside}") == ["Dues", "Pay."]


def test_a_page_of_hidden_text_alone_has_no_text():
    assert texts_of("<h1>Dues</h1><div hidden><p>Unseen.</p></div>") == ["Dues"]


def test_long_text_in_an_odd_place_is_text():
    for page in (
        f"<p>{LONG}</p><nav><p>{LONG}</p></nav>",
        f"<p>{LONG}</p><div class='nav'><p>{LONG}</p></div>",
        f"<p>{LONG}</p><article><footer>{LONG}</footer></article>",
    ):
        assert texts_of(page) == [LONG.strip()] * 2
    assert texts_of(f"<p>{LONG}</p><div class='cookie-info'>{LONG * 7}</div>") == [
        LONG.strip(),
        (LONG * 7).strip(),
    ]


def test_names_that_only_sound_like_an_aside_are_text():
    page = "".join(
        f"<div class='{name}'>{name} text</div>"
        for name in ("cookie-recipes", "navigate", "footer-notes", "menu", "sidebar", "main")
    )

    assert len(texts_of(page)) == 6


def test_hidden_rows_and_cells_are_left_out():
    page = (
        f"<p>{LONG}</p><table><tr><th>A<th>B</tr><tr hidden><td>1<td>2</tr>"
        "<tr><td>3<td style='display: none'>9</td><td>4</tr></table>"
    )

    assert blocks_of(page)[1:] == [Block("row", "3 | 4", header="A | B")]


def test_headings_have_their_levels_and_the_title_stands_in_for_a_first_one():
    assert blocks_of("<title>Port</title><h2>Dues <b>2024</b></h2><p>x") == [
        Block("heading", "Port", level=1),
        Block("heading", "Dues 2024", level=2),
        Block("text", "x"),
    ]
    assert texts_of("<title>Port - Home</title><h1>Port</h1><p>x") == ["Port", "x"]


def test_lists_are_whole():
    page = """<ul><li>tugs<ul><li>small</li><li>big</li></ul></li><li>pilots</li></ul><p>x</p>
        <ol start="3"><li>c<li><p>d</p><p>more</p></ol><ol type="a"><li>x<li value="5">y</ol>"""

    assert texts_of(page) == [
        "- tugs\n  - small\n  - big\n- pilots",
        "x",
        "3. c\n4. d\n  more",
        "a. x\ne. y",
    ]


def test_code_in_an_item_is_code():
    assert blocks_of("<ol><li>Run<pre>a\n  b</pre><li>Stop</ol>") == [
        Block("text", "1. Run"),
        Block("code", "a\n  b"),
        Block("text", "2. Stop"),
    ]


def test_terms_stand_with_their_definitions():
    page = "<dl><dt>ETA<dd>time of arrival<dt>A<dt>B<dd>both<dd>again<dt>Alone</dl><p>x"

    assert texts_of(page) == ["ETA: time of arrival", "A, B: both", "again", "Alone", "x"]


def test_code_is_whole_with_its_language():
    page = (
        '<pre><code class="language-bash">a\n\n  b &lt; c <b>d</b>\n</code></pre>'
        '<div class="highlight-source-python"><pre class="x lang-py">y<br>z</pre></div>'
        "<p>Use <code>pg_dump</code>.</p>"
    )

    assert blocks_of(page) == [
        Block("code", "a\n\n  b < c d", language="bash"),
        Block("code", "y\nz", language="py"),
        Block("text", "Use pg_dump."),
    ]


def test_numbers_of_lines_beside_code_are_left_out():
    page = "<table><tr><td><pre>1\n2</pre></td><td><pre>a\nb</pre></td></tr></table>"

    assert blocks_of(page) == [Block("code", "a\nb")]


def test_rows_carry_their_headings():
    page = (
        "<table><caption>Berths</caption><thead><tr><th>Berth<th>Depth</thead>"
        "<tbody><tr><td>4<td>12<tr><th>5<td>9</tbody></table>"
    )

    assert blocks_of(page) == [
        Block("text", "Berths"),
        Block("row", "4 | 12", header="Berth | Depth"),
        Block("row", "5 | 9", header="Berth | Depth"),
    ]


def test_cells_over_rows_and_columns_keep_the_columns_in_place():
    page = (
        "<table><tr><th rowspan=2>Region<th colspan=2>Price</tr><tr><th>EUR<th>USD</tr>"
        "<tr><td rowspan=2>North<td>1<td>2</tr><tr><td>3<td>4</tr>"
        "<tr><td colspan=2>Total<td>6</tr></table>"
    )
    header = "Region | Price EUR | USD"

    assert blocks_of(page) == [
        Block("row", text, header=header)
        for text in ("North | 1 | 2", "North | 3 | 4", "Total |  | 6")
    ]


def test_a_wide_heading_in_a_thead_stands_over_all_its_columns():
    page = (
        "<table><thead><tr><th rowspan=2>Region<th colspan=2>Price</tr><tr><th>EUR<th>USD</tr>"
        "</thead><tr><td>North<td>1<td>2</tr></table>"
    )

    assert blocks_of(page) == [
        Block("row", "North | 1 | 2", header="Region | Price EUR | Price USD")
    ]


def test_a_layout_of_tables_is_its_text():
    page = (
        "<table><tr><td><a href=x>Menu</a></td><td><h2>Dues</h2><p>By length.</p>"
        "<table><tr><th>A<th>B<tr><td>1<td>2</table></td></tr></table>"
    )

    assert texts_of(page) == ["Menu", "Dues", "By length.", "A, B", "1, 2"]


def test_a_table_in_a_cell_of_data_stays_in_its_row():
    page = (
        "<table><tr><th>Part<th>Stock</tr><tr><td>Pump<td>5<table><tr><td>hall 1<td>3"
        "<tr><td>hall 2<td>2</table></td></tr></table>"
    )

    assert blocks_of(page) == [
        Block("row", "Pump | 5; hall 1, 3; hall 2, 2", header="Part | Stock")
    ]


def test_alt_texts_are_kept_and_images_without_one_counted():
    page = f"<p>{LONG}</p><img alt='A crane' src=a><img src=b><img src=c><img alt='' src=d>"

    assert texts_of(page)[1:] == ["[Image: A crane]"]
    assert notes_of(page) == ["2 images without text"]


def test_raised_numbers_stay_apart_and_quotations_have_marks():
    assert texts_of(
        "<p>10<sup>6</sup> m<sup>2</sup>, H<sub>2</sub>O, <q>so</q>, 1<sup>st</sup>"
    ) == ["10⁶ m², H2O, “so”, 1st"]


def test_words_are_neither_joined_nor_split():
    assert texts_of("<p>one<b>two</b> three<br>four\n  five</p>six<div>seven</div>eight") == [
        "onetwo three\nfour five",
        "six",
        "seven",
        "eight",
    ]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<meta charset='iso-8859-1'><p>naïve €".encode("cp1252"), "naïve €"),
        ("<meta charset='shift_jis'><p>日本語".encode("cp932"), "日本語"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'><p>"
         + "Привет".encode("koi8-r"), "Привет"),
        ("<meta charset='iso-8859-1'><p>naïve".encode(), "naïve"),
        ("<p>naïve \u2013 “so”".encode("cp1252"), "naïve \u2013 “so”"),
        ("<p>naïve".encode("utf-16"), "naïve"),
        ("<meta charset='nonsense'><p>naïve".encode("cp1252"), "naïve"),
    ],
)  # fmt: skip
def test_the_encoding_is_found(page, text):
    assert texts_of(page) == [text]


def test_xhtml_with_elements_that_close_themselves_is_read():
    page = (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>'
        '<title>T</title><script src="a.js"/><style/></head><body><div class="x"/><p>Hello&nbsp;'
        "w&ouml;rld <![CDATA[a<b]]><br/>next</p></body></html>"
    )

    assert texts_of(page, "a.xhtml") == ["T", "Hello wörld a<b\nnext"]


def test_cdata_that_never_ends_takes_no_time():
    assert texts_of("<?xml version='1.0'?><p>x" + "<![CDATA[" * 100_000, "a.xhtml") == ["x"]


def test_a_page_without_text_has_no_blocks():
    assert blocks_of("<html><body><script>x</script></body></html>") == []


BOMBS = {
    "deep": "<div>" * 50_000 + "<h1>Berth 4</h1><p>is deep.",
    "tags": "<b>x</b> " * 250_000,
    "attributes": f"<p {' '.join(f'a{n}' for n in range(300_000))}>x",
    "lists": "<ol><li>x" * 30_000,
    "columns": "<table>" + "<tr><td colspan=1000>x" * 20_000,
    "tables": "<table><tr><td>x" * 10_000,
}


@pytest.mark.parametrize("page", BOMBS.values(), ids=BOMBS)
def test_pages_that_no_browser_likes_are_read_in_time(page):
    began = time.process_time()

    assert blocks_of(page)
    assert time.process_time() - began < 8


def test_cells_that_claim_a_thousand_columns_each_are_read_once_and_soon():
    wide = "<tr>" + "<td rowspan=1000 colspan=1000>x</td>" * 100 + "</tr>"
    began = time.process_time()
    blocks = blocks_of(f"<table>{wide * 200}</table>")
    assert len(blocks) == 200
    assert max(len(block.text) for block in blocks) < 1_000
    assert time.process_time() - began < 2


def test_a_page_of_millions_of_elements_is_refused_before_it_is_parsed():
    began = time.process_time()
    with pytest.raises(DocumentRejected, match="more than 3,000,000 parts"):
        blocks_of("<table><tr>" + "<td>x" * 3_100_000)
    assert time.process_time() - began < 2


def test_a_page_of_tags_around_letters_is_refused_in_words():
    (outcome,) = read_file("a.html", b"<b>x</b>" * 300_000, lambda share: None)

    assert isinstance(outcome, tuple)
    assert "a word of more than 200,000 letters" in str(outcome[1])


def test_a_row_that_repeats_its_neighbours_without_end_is_refused():
    page = "<table><tr><td rowspan=65000>" + "x " * 2_500 + "<td>y" + "<tr><td>y" * 9_000
    (outcome,) = read_file("a.html", page.encode(), lambda share: None)

    assert isinstance(outcome, tuple)
    assert "20,000,000 characters" in str(outcome[1])


def test_what_is_no_text_is_refused():
    with pytest.raises(DocumentRejected, match="PDF"):
        blocks_of(b"%PDF-1.7\n")


def test_signs_that_link_to_their_heading_are_no_text():
    page = """<h1>pg_dump<a class="headerlink" href="#x" title="Permalink">¶</a></h1>
        <h2><a class="anchor" href="#y"># </a>C#</h2><h3><a href="#z">Whole heading</a></h3>
        <dl><dt>-a<a href="#a">¶</a></dt><dd>All.</dd></dl>
        <table><caption>Sizes<a href="#t">¶</a></caption><tr><th>a<th>b<tr><td>1<td>2</table>
        <p>See <a href="#n">#12</a> and <a href="#m">*</a>.</p>"""

    assert texts_of(page) == [
        "pg_dump", "C#", "Whole heading", "-a: All.", "Sizes", "1 | 2", "See #12 and *."
    ]  # fmt: skip


def test_the_button_that_copies_code_is_no_text_and_others_are():
    page = """<div><button class="copybtn" title="Copy">Copy</button><pre>ls</pre></div>
        <button aria-label="Copy to clipboard">Copied!</button>
        <button class="accordion">Who may berth here?</button><div>Tankers.</div>"""

    assert texts_of(page) == ["ls", "Who may berth here?", "Tankers."]


def test_a_breadcrumb_and_a_sidebar_of_links_are_navigation():
    page = f"""<nav aria-label="Breadcrumb"><ol><li><a href="/">Home</a></li>
        <li>How to change the berth plan of a whole harbour</li></ol></nav>
        <div class="sphinxsidebar"><ul><li><a href="a">Install</a><li><a href="b">Use</a></ul></div>
        <ul class="menu"><li><a href="c">Products</a><li><a href="d">Support</a></ul>
        <h1>Plans</h1><p>{LONG}</p><div class="sidebar"><p>A remark beside the text.</p></div>
        <div class="menu"><p>Fish soup, <a href="e">bread</a> and a glass of wine.</p></div>"""

    assert texts_of(page) == [
        "Plans",
        LONG.strip(),
        "A remark beside the text.",
        "Fish soup, bread and a glass of wine.",
    ]


LINKS = "<ul><li><a href='a'>Home</a><li><a href='b'>Products</a><li><a href='c'>Help</a></ul>"


@pytest.mark.parametrize(
    "around",
    [
        f"<header>{LINKS}</header>",
        f"<header><a href='/'><img alt='Harbour'></a>{LINKS}<button>Search</button></header>",
        "<header><label>Search</label><input><ul><li><a>Home</a><li><a>Help</a></ul></header>",
        "<header class='top'><a href='/'>Harbour</a></header>",
        f"<div role='banner'>{LINKS}</div>",
        f"<aside>{LINKS}</aside>",
        f"<article><aside><h2>See also</h2>{LINKS}</aside></article>",
        f"<div role='complementary'><p>More</p>{LINKS}</div>",
        "<ol class='breadcrumb-list'><li><a href='/'>Home</a><li>Dues</ol>",
        "<p id='breadcrumbs'><a href='/'>Home</a> &gt; Dues and what they are</p>",
        "<div aria-label='Breadcrumb'><a href='/'>Home</a> / Dues and what they are</div>",
        "<ul itemtype='https://schema.org/BreadcrumbList'><li><a href='/'>Home</a><li>Dues</ul>",
    ],
)
def test_links_above_and_beside_the_text_are_left_out_and_told_of(around):
    page = f"<body>{around}<h1>Dues</h1><p>{LONG}</p>{around}</body>"

    assert texts_of(page) == ["Dues", LONG.strip()]
    assert notes_of(page) == ["navigation left out"]


@pytest.mark.parametrize(
    ("around", "texts"),
    [
        ("<header><h1><a href='t'>Dues</a></h1>By <a href='u'>Ann Lee</a></header>",
         ["Dues", "By Ann Lee"]),
        ("<article><header><a href='t'>Ann Lee</a>, <a href='t'>Bob Ray</a></header></article>",
         ["Ann Lee, Bob Ray"]),
        ("<header><p>By Ann Lee for <a href='u'>the Harbour News</a></p></header>",
         ["By Ann Lee for the Harbour News"]),
        (f"<header><nav>{LINKS}</nav><h1>Dues</h1></header>", ["Dues"]),
        ("<aside>Ships over 90 m: see <a href='u'>the long table of dues</a>.</aside>",
         ["Ships over 90 m: see the long table of dues."]),
        ("<div class='has-breadcrumb'><p>Pay <a href='u'>here</a>.</p></div>", ["Pay here."]),
    ],
)  # fmt: skip
def test_titles_authors_and_remarks_are_text(around, texts):
    assert texts_of(f"<body>{around}<p>{LONG}</p></body>") == [*texts, LONG.strip()]


@pytest.mark.parametrize(
    "words",
    ["Skip to content", "Skip to main content", "Jump to navigation", "Zum Inhalt springen"],
)
def test_links_that_skip_the_navigation_are_no_text(words):
    page = f"<body><a href='#main'>{words}</a><p>{LONG}</p><p><a href='/s'>{words}</a></p></body>"

    assert texts_of(page) == [LONG.strip(), words]
