"""What the styles and the numbering of a Word document make of its paragraphs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree

from services.reading.packed import Package

# The names that Word gives heading styles in its languages; files keep the English ones, but
# other programs write what their person sees.
_HEADING_NAMES = re.compile(
    r"(?:heading|überschrift|titre|título|titulo|titolo|intestazione|kop|rubrik|overskrift|otsikko"
    r"|nagłówek|nadpis|címsor|naslov|titlu|ba\u015fl\u0131k|заголовок|επικεφαλίδα|标题|標題|見出し|제목)"
    r"\s*([1-9])",
    re.IGNORECASE,
)
_TITLE_NAMES = {"title", "titel", "titre", "título", "titolo", "tytuł", "название", "标题"}
_CODE_NAMES = re.compile(
    r"(?:source |program )?code(?: block)?|html preformatted|preformatted text|macro|listing",
    re.IGNORECASE,
)
_CONTENTS_NAMES = re.compile(r"(?:toc|contents|verzeichnis|inhaltsverzeichnis) ?[1-9]", re.I)
_MOST_STYLES_ABOVE = 20
BODY_LEVEL = 9  # of an outline: not a heading


@dataclass(slots=True)
class Style:
    """What a paragraph gets from its style. `numbering` and `outline` are None if it says none."""

    name: str = ""
    above: str = ""  # the style it is based on
    outline: int | None = None  # 0 for the highest headings
    numbering: str | None = None
    depth: int | None = None  # in the numbering
    is_default: bool = False

    @property
    def is_code(self) -> bool:
        return _CODE_NAMES.fullmatch(self.name) is not None

    @property
    def is_contents(self) -> bool:
        return _CONTENTS_NAMES.fullmatch(self.name) is not None

    @property
    def heading(self) -> int:
        """The level of a heading from 1, or 0."""
        if match := _HEADING_NAMES.fullmatch(self.name.strip()):
            return int(match[1])
        if self.name.strip().lower() in _TITLE_NAMES:
            return 1
        return 0 if self.outline is None or self.outline >= BODY_LEVEL else self.outline + 1


def value(element: etree._Element | None, name: str = "val") -> str | None:
    """An attribute by its local name: its namespace depends on the kind of file."""
    for key, content in element.items() if element is not None else ():
        if str(key).rpartition("}")[2] == name:
            return str(content)
    return None


def number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _first(element: etree._Element, *path: str) -> etree._Element | None:
    return element.find("/".join(f"{{*}}{name}" for name in path))


def styles_of(package: Package, part: str) -> dict[str, Style]:
    """The paragraph styles by id, each with what it has from those it is based on."""
    styles: dict[str, Style] = {}
    for element in package.elements(part, "style"):
        styles[value(element, "styleId") or ""] = Style(
            name=value(_first(element, "name")) or "",
            above=value(_first(element, "basedOn")) or "",
            outline=number(value(_first(element, "pPr", "outlineLvl"))),
            numbering=value(_first(element, "pPr", "numPr", "numId")),
            depth=number(value(_first(element, "pPr", "numPr", "ilvl"))),
            is_default=value(element, "default") in ("1", "true")
            and value(element, "type") == "paragraph",
        )
    for style in styles.values():
        _inherit(style, styles)
    return styles


def _inherit(style: Style, styles: dict[str, Style]) -> None:
    above = styles.get(style.above)
    for _ in range(_MOST_STYLES_ABOVE):
        if above is None:
            return
        if style.outline is None and above.heading:
            style.outline = above.heading - 1
        if style.numbering is None:
            style.numbering = above.numbering
        if style.depth is None:
            style.depth = above.depth
        above = styles.get(above.above)


@dataclass(slots=True)
class Level:
    """One level of a list."""

    format: str = "decimal"
    text: str = ""  # "%1.%2)": the numbers of this level and of those above
    start: int = 1
    restarts: bool = True  # after an item of a higher level
    is_all_decimal: bool = False
    style: str = ""


@dataclass(slots=True)
class _Abstract:
    levels: dict[int, Level] = field(default_factory=dict)
    stands_for: str = ""  # the list style that says what its levels are
    counts: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Instance:
    abstract: str
    starts: dict[int, int] = field(default_factory=dict)
    levels: dict[int, Level] = field(default_factory=dict)
    is_used: set[int] = field(default_factory=set)


class Numbering:
    """Counts the items of all lists of a document, in its order."""

    def __init__(self) -> None:
        self._abstracts: dict[str, _Abstract] = {}
        self._instances: dict[str, _Instance] = {}

    def load(self, package: Package, part: str, styles: dict[str, Style]) -> None:
        """Read the part about numbering."""
        for element in package.elements(part, "abstractNum", "num"):
            if etree.QName(element).localname == "abstractNum":
                self._abstracts[value(element, "abstractNumId") or ""] = _Abstract(
                    dict(_level(lvl) for lvl in element.findall("{*}lvl")),
                    value(_first(element, "numStyleLink")) or "",
                )
            else:
                self._instances[value(element, "numId") or ""] = _instance(element)
        for abstract in self._abstracts.values():
            style = styles.get(abstract.stands_for)
            instance = self._instances.get((style and style.numbering) or "")
            if instance and instance.abstract in self._abstracts:
                abstract.levels = self._abstracts[instance.abstract].levels

    def depth_of_style(self, numbering: str, style: str) -> int | None:
        """The level that a numbering has for a style, if it has one."""
        instance = self._instances.get(numbering)
        abstract = self._abstracts.get(instance.abstract) if instance else None
        for depth, level in abstract.levels.items() if abstract else ():
            if level.style == style:
                return depth
        return None

    def next_mark(self, numbering: str, depth: int) -> str:
        """What stands before the next item: "2.1", "b)", "-" for a bullet, or "" for nothing."""
        instance = self._instances.get(numbering)
        abstract = self._abstracts.get(instance.abstract) if instance else None
        if instance is None or abstract is None:
            return ""
        levels = abstract.levels | instance.levels
        level = levels.get(depth, Level(text=f"%{depth + 1}."))
        if depth in instance.starts and depth not in instance.is_used:
            abstract.counts[depth] = instance.starts[depth] - 1
        instance.is_used.add(depth)
        abstract.counts[depth] = abstract.counts.get(depth, level.start - 1) + 1
        for deeper in [d for d in abstract.counts if d > depth]:
            if levels.get(deeper, Level()).restarts:
                del abstract.counts[deeper]
        return _mark(level, levels, abstract.counts)


def _level(element: etree._Element) -> tuple[int, Level]:
    start = number(value(_first(element, "start")))
    return number(value(element, "ilvl")) or 0, Level(
        format=value(_first(element, "numFmt")) or "decimal",
        text=value(_first(element, "lvlText")) or "",
        start=1 if start is None else start,
        restarts=value(_first(element, "lvlRestart")) != "0",
        is_all_decimal=_first(element, "isLgl") is not None,
        style=value(_first(element, "pStyle")) or "",
    )


def _instance(element: etree._Element) -> _Instance:
    instance = _Instance(value(_first(element, "abstractNumId")) or "")
    for override in element.findall("{*}lvlOverride"):
        depth = number(value(override, "ilvl")) or 0
        start = number(value(_first(override, "startOverride")))
        if start is not None:
            instance.starts[depth] = start
        level = _first(override, "lvl")
        if level is not None:
            instance.levels[depth] = _level(level)[1]
    return instance


def _mark(level: Level, levels: dict[int, Level], counts: dict[int, int]) -> str:
    if level.format == "bullet":
        return "-"
    if level.format == "none":
        return re.sub(r"%[1-9]", "", level.text).strip()

    def counted(match: re.Match[str]) -> str:
        depth = int(match[1]) - 1
        of = levels.get(depth, Level())
        count = counts.get(depth, of.start)
        return in_format(count, "decimal" if level.is_all_decimal else of.format)

    return re.sub(r"%([1-9])", counted, level.text).strip()


def in_format(count: int, form: str) -> str:
    """A number as it is written in one of Word's formats; in digits for those not known."""
    written = _FORMATS.get(form, str)
    return written(count) if 0 < count < 4_000 else str(count)


def _roman(count: int) -> str:
    values = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
    signs = ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I")
    written = ""
    for unit, sign in zip(values, signs, strict=True):
        written += sign * (count // unit)
        count %= unit
    return written


def _letters(count: int) -> str:
    return chr(ord("A") + (count - 1) % 26) * ((count - 1) // 26 + 1)


def _ordinal(count: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{count}{'th' if count % 100 in (11, 12, 13) else endings.get(count % 10, 'th')}"


_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda count: f"{count:02}",
    "upperRoman": _roman,
    "lowerRoman": lambda count: _roman(count).lower(),
    "upperLetter": _letters,
    "lowerLetter": lambda count: _letters(count).lower(),
    "ordinal": _ordinal,
    "none": lambda count: "",
}
