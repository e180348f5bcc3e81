"""Where in its document a chunk is, in words."""

from __future__ import annotations

import pytest

from pages.ui.hits import place_text


@pytest.mark.parametrize(
    ("document", "path", "page", "expected"),
    [
        ("a.pdf", ("Limits", "By plan"), 12, "Page 12 · Limits / By plan"),
        ("Prices (2).XLSX", ("Pumps",), 2, "Sheet 2 · Pumps"),
        ("mail.eml/deck.pptx", (), 3, "Slide 3"),
        ("a.md", ("Limits",), None, "Limits"),
        ("a.txt", (), None, ""),
    ],
)
def test_a_place_is_a_page_a_slide_or_a_sheet_and_headings(document, path, page, expected):
    assert place_text(document, path, page) == expected
