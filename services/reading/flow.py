"""What is read one after the other, in a document or in a cell of a table: blocks, with the lists
and the code that go on from one paragraph to the next put together."""

from __future__ import annotations

from collections.abc import Sequence

from services.reading.blocks import Block
from services.reading.tables import has_header, joined, on_one_line


class Flow:
    """Collects blocks. `taken` hands over those that are complete."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._items: list[str] = []
        self._code: list[str] = []
        self._later: list[Block] = []  # what a list that goes on does not let in

    def put(self, block: Block) -> None:
        self.close()
        self._blocks.append(block)

    def put_text(self, text: str) -> None:
        if text.strip():
            self.put(Block("text", text))

    def put_item(self, mark: str, text: str, depth: int = 0) -> None:
        """An item of a list, with what stands before it ("-", "2.1", "b)")."""
        if self._code:
            self.close()
        self._items.append(f"{'  ' * min(depth, 8)}{mark} {text}".rstrip())

    def put_code(self, line: str) -> None:
        if self._items:
            self.close()
        self._code.append(line)

    def put_after(self, block: Block) -> None:
        """A block that may wait until the list around it is complete: a footnote."""
        if self._items:
            self._later.append(block)
        else:
            self.put(block)

    def close(self) -> None:
        """End what would go on."""
        if self._items:
            self._blocks.append(Block("text", "\n".join(self._items)))
            self._items = []
        if any(line.strip() for line in self._code):
            self._blocks.append(Block("code", "\n".join(self._code).strip("\n")))
        self._code = []
        self._blocks += self._later
        self._later = []

    def taken(self) -> list[Block]:
        """The complete blocks, which are then no longer here."""
        blocks, self._blocks = self._blocks, []
        return blocks

    def all(self) -> list[Block]:
        """Everything."""
        self.close()
        return self.taken()


def in_a_cell(blocks: Sequence[Block]) -> str:
    """Blocks on one line. The rows of a table within the cell are parted by semicolons."""
    text, was_row = "", False
    for block in blocks:
        if text:
            text += "; " if was_row or block.kind == "row" else " "
        text += " ".join(block.text.split())
        was_row = block.kind == "row"
    return text


class TableRows:
    """The rows of a table, of which the first, or those that are marked, are its headings."""

    def __init__(self, *, may_have_header: bool = True, page: int | None = None) -> None:
        self.may_have_header = may_have_header
        self._page = page
        self._marked: list[list[str]] = []
        self._first: list[str] | None = None
        self._header = ""
        self._has_begun = False

    def add(self, cells: list[str], *, is_header: bool = False) -> list[Block]:
        """The rows that are complete now."""
        if not any(cells):
            return []
        if is_header and not self._has_begun:
            self._marked.append(cells)
            return []
        if self._has_begun:
            return [self._row(cells)]
        if self._marked:
            self._has_begun, self._header = True, heading_line(self._marked)
            return [self._row(cells)]
        if self._first is None:
            self._first = cells
            return []
        self._has_begun = True
        if self.may_have_header and has_header([self._first, cells]):
            self._header = joined(self._first)
            return [self._row(cells)]
        return [self._row(self._first), self._row(cells)]

    def end(self) -> list[Block]:
        """The rows that nothing came after: a table of headings alone."""
        if self._has_begun:
            return []
        rows = self._marked if self._first is None else [*self._marked, self._first]
        return [self._row(cells) for cells in rows]

    def _row(self, cells: list[str]) -> Block:
        return Block("row", joined(cells), header=self._header, page=self._page)


def heading_line(rows: list[list[str]]) -> str:
    """One line of headings: those of several rows are put together, column by column."""
    if len(rows) == 1:
        return joined(rows[0])
    columns = []
    for number in range(max(map(len, rows))):
        parts = [on_one_line(row[number]) for row in rows if number < len(row)]
        columns.append(" ".join(dict.fromkeys(part for part in parts if part)))
    return joined(columns)
