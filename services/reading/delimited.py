"""CSV and TSV: each row by itself, as lines "column: value"."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.reading.blocks import Block, Source
from services.reading.decoding import stream_of
from services.reading.tables import record_blocks

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"  # not in any text: whole lines are cells, and quotes still count
_SAMPLE = 100_000  # characters
_ROWS_BETWEEN_PROGRESS = 500
_MOST_LINES_AGAIN = 3_000_000  # read once more, after a quote that is never closed
_SHARE_THAT_FITS = 0.9
_SHARE_CUT = 0.6  # of the rows, if the first is cut as well
_SHORT_CELL = 25  # characters: on average, where a comma and a blank part cells


def read(source: Source) -> Iterator[Block]:
    """Each row is a block; see `tables.record_blocks`.

    Raises:
        DocumentRejected: it is no text.
    """
    csv.field_size_limit(sys.maxsize)
    stream = stream_of(source.name, source.content)
    sample = stream.read(_SAMPLE)
    whole = len(sample) < _SAMPLE
    stream.seek(0)
    declared = _declared_delimiter(sample)
    if declared:
        stream.readline()
    is_tsv = source.extension == ".tsv" and "\t" in sample
    among = declared or ("\t" if is_tsv else _DELIMITERS)
    delimiter, escapes = dialect_of(sample, among, whole=whole)
    delimiter = declared or ("\t" if is_tsv else delimiter)
    lines = (line.replace("\0", "") if "\0" in line else line for line in stream)
    if escapes:
        lines = (line.replace('\\"', '""') for line in lines)
    yield from record_blocks(_with_progress(source, rows_of(lines, delimiter)))


def _with_progress(source: Source, rows: Iterable[list[str]]) -> Iterator[list[str]]:
    done = 0
    for number, row in enumerate(rows):
        done += sum(map(len, row)) + len(row)
        if number % _ROWS_BETWEEN_PROGRESS == 0:
            source.progress(min(1.0, done / len(source.content)))
        yield row


def _declared_delimiter(sample: str) -> str:
    """What the first line "sep=;" says, as Excel writes it, or ""."""
    match = re.match(r'"?sep=(.)"?\r?\n', sample, re.IGNORECASE)
    return match[1] if match else ""


def rows_of(
    lines: Iterable[str], delimiter: str, *, leading_blanks: bool = False
) -> Iterator[list[str]]:
    """The rows in `lines`, which keep their ends. With `leading_blanks`, the cells have theirs.

    Blanks may stand around the quotes of a cell. A cell that begins with a quote that is never
    closed is taken as it is, on its own line: it does not swallow the rest of the file.
    """
    taken = _Remembering(iter(lines))
    left = _MOST_LINES_AGAIN
    while left > 0:
        is_broken = False
        for row in csv.reader(taken, delimiter=delimiter, skipinitialspace=not leading_blanks):
            is_odd = len(taken.lines) > 1 or taken.lines[0].count('"') % 2 == 1
            is_broken = is_odd and _is_malformed(taken.lines, delimiter)
            if is_broken:
                break
            taken.lines.clear()
            if row:
                yield row
        if not is_broken:
            return
        yield from csv.reader(taken.lines[:1], delimiter=delimiter, quoting=csv.QUOTE_NONE)
        left -= len(taken.lines)
        taken.read_again()
    yield from filter(None, csv.reader(taken, delimiter=delimiter, quoting=csv.QUOTE_NONE))


class _Remembering:
    """Lines, of which those of the row that is being read are remembered."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._source = lines
        self._again: list[str] = []  # the next one last
        self.lines: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else next(self._source)
        self.lines.append(line)
        return line

    def read_again(self) -> None:
        """Give all remembered lines but the first once more."""
        self._again += reversed(self.lines[1:])
        self.lines.clear()


def _is_malformed(lines: list[str], delimiter: str) -> bool:
    """Whether a row of several lines has a quote that nothing closes, or text after one."""
    blanks_after_quote = re.compile(rf'" +(?={re.escape(delimiter)}|\r?\n|$)')
    tight = [blanks_after_quote.sub('"', line) for line in lines]
    try:
        for _ in csv.reader(tight, delimiter=delimiter, skipinitialspace=True, strict=True):
            pass
    except csv.Error:
        return True
    return False


@dataclass(frozen=True, slots=True)
class _Fit:
    """How well a delimiter fits: better ones compare as greater."""

    share: float  # of the lines that have the usual number of cells
    cells: int
    delimiter: str


def dialect_of(
    sample: str, delimiters: str = _DELIMITERS, *, whole: bool = True
) -> tuple[str, bool]:
    """The delimiter that cuts most rows into the same number of cells, and whether quotes in cells
    are written with a backslash instead of doubled.

    Text with some commas in it is one column: there the rows do not agree. `whole` says that
    `sample` does not end within a row.
    """
    escaped = sample.replace('\\"', '""')
    if whole and escaped.count('"') % 2:
        escaped = sample  # a quote would stay open: the backslash is the end of a cell
    fits = [
        (round(fit.share, 2), fit.cells, not escapes, fit.delimiter)
        for text, escapes in ((sample, False), (escaped, True))
        if not escapes or escaped != sample
        for delimiter in delimiters
        if (fit := _fit(text, delimiter, whole=whole))
    ]
    if not fits:
        return _NO_DELIMITER, False
    _, _, is_doubled, delimiter = max(fits)
    return delimiter, not is_doubled


def _fit(sample: str, delimiter: str, *, whole: bool) -> _Fit | None:
    if delimiter not in sample:
        return None
    quotes_first = re.sub(rf'(^|{re.escape(delimiter)}) +(?=")', r"\1", sample, flags=re.MULTILINE)
    lines = quotes_first.splitlines(keepends=True)
    rows = [row for row in rows_of(lines, delimiter, leading_blanks=True) if any(row)]
    if not whole and len(rows) > 1:
        rows = rows[:-1]
    widths = Counter(len(row) for row in rows)
    usual = max((width for width in widths if width > 1), key=lambda w: (widths[w], w), default=1)
    if usual == 1:
        return None
    start = next(number for number, row in enumerate(rows) if len(row) > 1)
    table = rows[start:]
    share = sum(1 for row in table if len(row) == usual) / len(table)
    cut = sum(1 for row in table if len(row) > 1) / len(table)
    if len(table) * 2 < len(rows) and (len(table) < 3 or share < _SHARE_THAT_FITS):
        return None
    if _reads_as_prose(table, delimiter):
        fits = share >= _SHARE_THAT_FITS and start == 0 and _are_short(table)
    else:
        fits = (
            share >= _SHARE_THAT_FITS
            or (start == 0 and cut >= _SHARE_CUT)
            or (usual > 2 and cut >= _SHARE_THAT_FITS)
        )
    return _Fit(share * len(table) / len(rows), usual, delimiter) if fits else None


def _reads_as_prose(rows: list[list[str]], delimiter: str) -> bool:
    """Whether a blank follows the delimiter nearly everywhere, as it does in sentences."""
    later = [cell for row in rows for cell in row[1:] if cell]
    spaced = sum(1 for cell in later if cell.startswith(" "))
    return delimiter in ",;" and bool(later) and spaced >= _SHARE_THAT_FITS * len(later)


def _are_short(rows: list[list[str]]) -> bool:
    cells = [cell for row in rows for cell in row]
    return sum(map(len, cells)) < _SHORT_CELL * len(cells)
