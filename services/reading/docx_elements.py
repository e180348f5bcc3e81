"""The XML of a Word document, parsed as a stream: no tree of it is ever built.

A tree takes a hundred times the size of the file: 75 kB can hold 4.5 million empty paragraphs. And
the layout in the XML is not trusted: a cell is read once, however many columns it claims to span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.reading.docx_body import Body

_W = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",  # as "Strict Open XML"
)
_M = (
    "{http://schemas.openxmlformats.org/officeDocument/2006/math}",
    "{http://purl.oclc.org/ooxml/officeDocument/math}",
)
_SIGNS = {"tab": "\t", "ptab": "\t", "cr": "\n", "noBreakHyphen": "-"}


class Elements:
    """Receives the elements from the parser, and calls what each of them means for the body."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._left_out = 0  # how deep inside an element that is left out

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._left_out:
            self._left_out += 1
        elif handler := _STARTS.get(tag):
            handler(self._body, attributes)
            if self._body.leaves_out:
                self._left_out, self._body.leaves_out = 1, False

    def data(self, text: str) -> None:
        if not self._left_out:
            self._body.data(text)

    def end(self, tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
        elif handler := _ENDS.get(tag):
            handler(self._body)

    def close(self) -> None:
        self._body.close()


_Start = Callable[[Body, Mapping[str, str]], None]
_End = Callable[[Body], None]


def _putting(text: str) -> _Start:
    return lambda body, _: body.put(text)


# Elements of WordprocessingML by local name, and of the other languages by their whole names.
_WORD_STARTS: dict[str, _Start] = {
    **{name: _putting(sign) for name, sign in _SIGNS.items()},
    **dict.fromkeys(("tabs", "rt", "pPrChange", "rPrChange", "tblPrChange"), Body.leave_out),
    **dict.fromkeys(("tcPrChange", "trPrChange", "sectPrChange"), Body.leave_out),
    **dict.fromkeys(("tblGridChange", "tblPrExChange", "numberingChange"), Body.leave_out),
    "del": Body.leave_out_change,
    "moveFrom": Body.leave_out_change,
    "ins": Body.start_insertion,
    "t": Body.start_text,
    "r": Body.start_run,
    "vanish": Body.start_hidden,
    "br": Body.start_break,
    "sym": Body.start_symbol,
    "fldChar": lambda body, given: body.fields.mark(given),
    "instrText": Body.start_instruction,
    "fldSimple": lambda body, given: body.fields.start_simple(given),
    "checkBox": lambda body, given: body.fields.start_check_box(given),
    "default": lambda body, given: body.fields.check(given),
    "checked": lambda body, given: body.fields.check(given),
    "result": lambda body, given: body.fields.choose(given),
    "listEntry": lambda body, given: body.fields.offer(given),
    "p": Body.start_paragraph,
    "pPr": Body.start_about,
    "pStyle": Body.start_style,
    "outlineLvl": Body.start_outline,
    "numId": Body.start_numbering,
    "ilvl": Body.start_depth,
    "txbxContent": Body.start_box,
    "footnote": Body.start_note,
    "endnote": Body.start_note,
    "footnoteReference": Body.start_footnote_mark,
    "endnoteReference": Body.start_endnote_mark,
    "commentReference": lambda body, _: body.counts.update(["comments"]),
    "object": lambda body, _: body.counts.update(["objects"]),
    "altChunk": lambda body, _: body.counts.update(["objects"]),
    "subDoc": lambda body, _: body.counts.update(["objects"]),
    "tbl": lambda body, given: body.tables.start(given),
    "tblLook": lambda body, given: body.tables.look(given),
    "tr": lambda body, given: body.tables.start_row(given),
    "trPr": Body.start_about_row,
    "tblHeader": lambda body, given: body.tables.mark_header(given),
    "gridBefore": lambda body, given: body.tables.skip_columns(given),
    "tc": lambda body, given: body.tables.start_cell(given),
    "gridSpan": lambda body, given: body.tables.span(given),
    "vMerge": lambda body, given: body.tables.merge(given),
    "hMerge": lambda body, given: body.tables.merge(given),
    "cellDel": lambda body, given: body.tables.delete_cell(given),
}
_WORD_ENDS: dict[str, _End] = {
    "t": Body.end_text,
    "instrText": Body.end_instruction,
    "fldSimple": lambda body: body.fields.end_simple(),
    "checkBox": lambda body: body.show(body.fields.end_check_box()),
    "ddList": lambda body: body.show(body.fields.end_list()),
    "p": Body.end_paragraph,
    "pPr": Body.end_about,
    "txbxContent": Body.end_box,
    "footnote": Body.end_note,
    "endnote": Body.end_note,
    "trPr": Body.end_about_row,
    "tc": lambda body: body.tables.end_cell(),
    "tr": lambda body: body.tables.end_row(),
    "tbl": lambda body: body.tables.end(),
}
_MATH_STARTS: dict[str, _Start] = {
    "t": Body.start_text,
    "den": _putting("/"),
    "sup": _putting("^"),
    "sub": _putting("_"),
}
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/"
_STRICT_DRAWING = "{http://purl.oclc.org/ooxml/drawingml/"
_MARKUP = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SHAPES = "{urn:schemas-microsoft-com:vml}"
_STARTS: dict[str, _Start] = {
    **{space + name: handler for space in _W for name, handler in _WORD_STARTS.items()},
    **{space + name: handler for space in _M for name, handler in _MATH_STARTS.items()},
    f"{_MARKUP}AlternateContent": Body.start_alternatives,
    f"{_MARKUP}Choice": Body.start_alternative,
    f"{_MARKUP}Fallback": Body.start_alternative,
    f"{_SHAPES}shape": Body.start_shape,
    f"{_SHAPES}imagedata": Body.start_image,
    **{
        space + name: handler
        for space in (_DRAWING, _STRICT_DRAWING)
        for name, handler in {
            "wordprocessingDrawing}docPr": Body.start_described,
            "picture}pic": Body.start_image,
            "chart}chart": Body.start_chart,
            "diagram}relIds": Body.start_diagram,
        }.items()
    },
}
_ENDS: dict[str, _End] = {
    **{space + name: handler for space in _W for name, handler in _WORD_ENDS.items()},
    **{f"{space}t": Body.end_text for space in _M},
    f"{_MARKUP}AlternateContent": Body.end_alternatives,
}
