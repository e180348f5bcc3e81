"""The fields of a Word document: what they show is text, what they are told to do is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.reading.docx_styles import number

OFF = {"0", "false", "off"}
_PAGE_FIELDS = {"PAGE", "NUMPAGES", "SECTIONPAGES", "SECTION"}
_LONGEST_INSTRUCTION = 200
_CHECK_BOX, _CHECKED = -1, -2
SYMBOLS = {"F0FE": "☒", "F0A8": "☐", "F06F": "☐", "F0FC": "✓", "F0FB": "✗", "F0E0": "→"}
# What the font "Symbol" shows for F041 to F05A, F061 to F07A, and some signs.
_GREEK = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", "αβχδεφγηιϕκλμνοπθρστυϖωξψζ"
SYMBOL_FONT = (
    {f"F0{0x41 + n:02X}": letter for n, letter in enumerate(_GREEK[0])}
    | {f"F0{0x61 + n:02X}": letter for n, letter in enumerate(_GREEK[1])}
    | {
        "F0A3": "≤", "F0A5": "∞", "F0AB": "↔", "F0AC": "←", "F0AD": "↑", "F0AE": "→", "F0AF": "↓",
        "F0B0": "°", "F0B1": "±", "F0B3": "≥", "F0B4": "\u00d7", "F0B7": "•", "F0B8": "÷",
        "F0B9": "≠", "F0BA": "≡", "F0BB": "≈", "F0C6": "∅", "F0CE": "∈", "F0D1": "∇", "F0D6": "√",
        "F0E5": "∑", "F0F2": "∫",
    }
)  # fmt: skip
GENERATED = re.compile(
    r"\s*(?:Description|Descripción|Beschreibung) automatically generated.*|"
    r"\s*Automatisch generierte Beschreibung.*",
    re.I | re.S,
)


def attribute(attributes: Mapping[str, str], name: str = "val") -> str | None:
    """An attribute by its local name: its namespace depends on the kind of file."""
    for key, content in attributes.items():
        if key == name or key.endswith("}" + name):
            return content
    return None


@dataclass(slots=True)
class _Field:
    instruction: str = ""
    is_result: bool = False
    held: list[str] = field(default_factory=list)

    @property
    def is_page_number(self) -> bool:
        return self.instruction.strip().split(" ")[0].upper() in _PAGE_FIELDS


class Fields:
    """The open fields, one inside the other, and the form field that is being read."""

    def __init__(self) -> None:
        self._open: list[_Field] = []
        self._choice = 0
        self._entries: list[str] = []

    def admits(self, text: str) -> bool:
        """Whether text is shown here; else it is held until it is clear what the field is."""
        for each in self._open:
            if not each.is_result:
                each.held.append(text)
                return False
        return True

    @property
    def shows_page_number(self) -> bool:
        return any(each.is_page_number for each in self._open)

    def instruct(self, text: str) -> None:
        if self._open:
            written = self._open[-1].instruction + text
            self._open[-1].instruction = written[:_LONGEST_INSTRUCTION]

    def mark(self, attributes: Mapping[str, str]) -> None:
        """The begin of a field, the begin of its result, or its end."""
        kind = attribute(attributes, "fldCharType")
        if kind == "begin":
            self._open.append(_Field())
        elif kind == "separate" and self._open:
            self._open[-1].is_result = True
            self._open[-1].held.clear()
        elif kind == "end" and self._open:
            self._open.pop()

    def start_simple(self, attributes: Mapping[str, str]) -> None:
        self._open.append(_Field(attribute(attributes, "instr") or "", is_result=True))

    def end_simple(self) -> None:
        if self._open:
            self._open.pop()

    def released(self) -> list[str]:
        """At the end of a paragraph: the text of fields whose result never came. It is shown
        rather than lost."""
        texts: list[str] = []
        for each in self._open:
            if not each.is_result:
                each.is_result = True
                texts += each.held
                each.held = []
        return texts

    def start_check_box(self, _: Mapping[str, str]) -> None:
        self._choice = _CHECK_BOX

    def check(self, attributes: Mapping[str, str]) -> None:
        if self._choice < 0:
            self._choice = _CHECK_BOX if attribute(attributes) in OFF else _CHECKED

    def end_check_box(self) -> str:
        choice, self._choice = self._choice, 0
        return "☒ " if choice == _CHECKED else "☐ "

    def choose(self, attributes: Mapping[str, str]) -> None:
        self._choice = number(attribute(attributes)) or 0

    def offer(self, attributes: Mapping[str, str]) -> None:
        self._entries.append(attribute(attributes) or "")

    def end_list(self) -> str:
        chosen = self._entries[self._choice : self._choice + 1] if self._choice >= 0 else []
        self._choice, self._entries = 0, []
        return "".join(chosen)


def says_only_page(text: str) -> bool:
    """Whether nothing is left of "Page 3 of 9" but its words."""
    words = re.findall(r"\w+", text)
    return len(words) <= 2 and all(len(word) <= 7 for word in words)
