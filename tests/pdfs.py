"""Makes small PDFs for tests, byte by byte: what stands where is then known exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

_FONTS = {
    "plain": b"/Helvetica",
    "bold": b"/Helvetica-Bold",
    "mono": b"/Courier",
}


@dataclass
class PdfPage:
    """A page of 595 to 842 points; y counts from its top."""

    steps: list[bytes] = field(default_factory=list)
    fields: list[bytes] = field(default_factory=list)
    rotate: int = 0

    def text(self, x: float, y: float, text: str, size: float = 10, font: str = "plain") -> None:
        shown = text.encode("cp1252").translate(None)
        for plain, escaped in ((b"\\", b"\\\\"), (b"(", b"\\("), (b")", b"\\)")):
            shown = shown.replace(plain, escaped)
        self.steps.append(
            b"BT /%s %g Tf 1 0 0 1 %g %g Tm (%s) Tj ET" % (font.encode(), size, x, 842 - y, shown)
        )

    def lines(
        self, x: float, y: float, *lines: str, leading: float = 12, font: str = "plain"
    ) -> None:
        for number, line in enumerate(lines):
            self.text(x, y + leading * number, line, font=font)

    def ligatures(self, x: float, y: float, codes: bytes) -> None:
        """Letters of a font in which 1 is the ligature fi, 2 fl, 3 ffi and 4 ff."""
        self.steps.append(b"BT /ligatures 10 Tf 1 0 0 1 %g %g Tm (%s) Tj ET" % (x, 842 - y, codes))

    def sideways(self, x: float, y: float, text: str) -> None:
        self._turned(b"0 1 -1 0", x, y, text)

    def overturned(self, x: float, y: float, text: str) -> None:
        """Text on its head, that runs to the left from x."""
        self._turned(b"-1 0 0 -1", x, y, text)

    def _turned(self, turn: bytes, x: float, y: float, text: str) -> None:
        self.steps.append(
            b"BT /plain 10 Tf %s %g %g Tm (%s) Tj ET" % (turn, x, 842 - y, text.encode("cp1252"))
        )

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.steps.append(b"%g %g m %g %g l S" % (x0, 842 - y0, x1, 842 - y1))

    def picture(self) -> None:
        self.steps.append(b"q 400 0 0 400 90 200 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \x80 EI Q")

    def field(self, x: float, y: float, name: str, value: str) -> None:
        """A text field with its lower left corner at x, y."""
        self.fields.append(
            b"<</Type/Annot/Subtype/Widget/FT/Tx/T(%s)/V(%s)/Rect[%g %g %g %g]/F 4>>"
            % (name.encode(), value.encode(), x, 842 - y, x + 150, 842 - y + 14)
        )

    def checkbox(self, x: float, y: float, name: str, ticked: bool) -> None:
        state = b"/Yes" if ticked else b"/Off"
        self.fields.append(
            b"<</Type/Annot/Subtype/Widget/FT/Btn/T(%s)/V%s/AS%s/Rect[%g %g %g %g]/F 4"
            b"/AP<</N<</Yes 3 0 R/Off 3 0 R>>>>>>"
            % (name.encode(), state, state, x, 842 - y, x + 10, 842 - y + 10)
        )

    def radio(self, x: float, y: float, name: str, value: str, ticked: bool) -> None:
        """A radio button of a group of its own."""
        state = b"/" + value.encode() if ticked else b"/Off"
        self.fields.append(
            b"<</Type/Annot/Subtype/Widget/FT/Btn/Ff 49152/T(%s)/V%s/AS%s/Rect[%g %g %g %g]/F 4"
            b"/AP<</N<</%s 3 0 R/Off 3 0 R>>>>>>"
            % (name.encode(), state, state, x, 842 - y, x + 10, 842 - y + 10, value.encode())
        )


def pdf_of(*pages: PdfPage, bookmarks: tuple[tuple[str, int], ...] = ()) -> bytes:
    """The pages as a file; `bookmarks` are titles with the index of their page."""
    objects: dict[int, bytes] = {}
    fonts = b"".join(
        b"/%s<</Type/Font/Subtype/Type1/BaseFont%s/Encoding/WinAnsiEncoding>>"
        % (name.encode(), face)
        for name, face in _FONTS.items()
    )
    fonts += (
        b"/ligatures<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding"
        b"<</Type/Encoding/BaseEncoding/WinAnsiEncoding/Differences[1/fi/fl/ffi/ff]>>>>"
    )
    objects[3] = _stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]")
    number = 4
    kids, all_fields = [], []
    for page in pages:
        here, content = number, number + 1
        number += 2
        widgets = []
        for widget in page.fields:
            objects[number] = widget
            widgets.append(b"%d 0 R" % number)
            number += 1
        all_fields += widgets
        objects[content] = _stream(b"\n".join(page.steps))
        objects[here] = (
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate %d/Contents %d 0 R/Annots[%s]"
            b"/Resources<</Font<<%s>>>>>>" % (page.rotate, content, b" ".join(widgets), fonts)
        )
        kids.append(b"%d 0 R" % here)
    outline = b""
    if bookmarks:
        first, root = number, number + len(bookmarks)
        for index, (title, page_index) in enumerate(bookmarks):
            following = b"/Next %d 0 R" % (first + index + 1) if index + 1 < len(bookmarks) else b""
            objects[first + index] = b"<</Title(%s)/Parent %d 0 R/Dest[%s/Fit]%s>>" % (
                title.encode(),
                root,
                kids[page_index],
                following,
            )
        objects[root] = b"<</Type/Outlines/First %d 0 R/Last %d 0 R/Count %d>>" % (
            first,
            root - 1,
            len(bookmarks),
        )
        outline = b"/Outlines %d 0 R" % root
    form = b"/AcroForm<</Fields[%s]>>" % b" ".join(all_fields) if all_fields else b""
    objects[1] = b"<</Type/Catalog/Pages 2 0 R%s%s>>" % (outline, form)
    objects[2] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    return file_of(objects)


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), entries, data)


def file_of(objects: dict[int, bytes]) -> bytes:
    """The objects, numbered from 1 without a gap, as a file; 1 is the catalog."""
    made = bytearray(b"%PDF-1.7\n")
    places = []
    for number in sorted(objects):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, objects[number])
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(places) + 1, table)
    made += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, end)
    return bytes(made)
