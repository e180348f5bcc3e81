"""Office files are zips of XML: their parts, unpacked with a limit, and parsed as a stream."""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lxml import etree

from services.reading import limits, rejections
from services.reading.blocks import Source

BYTES_AT_ONCE = 65_536
# Old Office files, and new ones with a password, are of another format.
_OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
# Only these are unpacked piece by piece, and never beyond their declared size.
KNOWN_PACKING = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What a broken zip, or broken XML in one, makes the libraries raise.
BROKEN = (
    zipfile.BadZipFile,
    etree.LxmlError,
    zlib.error,
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)


class Package:
    """The parts of an Office file. Counts what it unpacks; parts that nobody reads cost nothing."""

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self.name = name
        self._archive = archive
        self._parts = {part.filename.lstrip("/"): part for part in archive.infolist()}
        self._bytes_left = limits.MAX_UNPACKED_BYTES
        self._elements_left = limits.MAX_ELEMENTS

    def __contains__(self, part: str) -> bool:
        return part in self._parts

    def parts(self) -> list[str]:
        return list(self._parts)

    def size(self, part: str) -> int:
        """In bytes, unpacked."""
        return self._parts[part].file_size

    def pieces(self, part: str) -> Iterator[bytes]:
        """The bytes of a part.

        Raises:
            DocumentRejected: it is larger than a part of a document ever is.
            KeyError: there is no such part.
        """
        self._bytes_left -= self._parts[part].file_size
        if self._bytes_left < 0:
            raise rejections.too_intricate(self.name, "unpacks to hundreds of megabytes")
        yield from self._unpacked(part)

    def markup(self, part: str) -> Iterator[bytes]:
        """The bytes of a part that is XML, for a parser.

        Its elements are counted before, which takes a hundredth of the time that parsing takes.

        Raises:
            DocumentRejected: it is larger than a part of a document ever is.
            KeyError: there is no such part.
        """
        for piece in self.pieces(part):
            self._elements_left -= elements_in(piece)
            if self._elements_left < 0:
                raise rejections.too_many_elements(self.name)
        yield from self._unpacked(part)

    def _unpacked(self, part: str) -> Iterator[bytes]:
        entry = self._parts[part]
        if entry.flag_bits & 1:
            raise rejections.locked(self.name)
        if entry.compress_type not in KNOWN_PACKING:
            raise rejections.damaged(self.name)
        with self._archive.open(entry) as packed:
            while piece := packed.read(BYTES_AT_ONCE):
                yield piece

    def feed(self, part: str, target: Any) -> Iterator[int]:
        """Parse a part into `target`, an lxml parser target; yields the bytes it has read."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, target=target)
        done = 0
        for piece in self.markup(part):
            parser.feed(piece)
            done += len(piece)
            yield done
        parser.close()

    def elements(self, part: str, *names: str) -> Iterator[etree._Element]:
        """Each element of these local names, complete; it is emptied when the next is asked for."""
        parser = etree.XMLPullParser(
            ("end",),
            tag=[f"{{*}}{name}" for name in names],
            resolve_entities=False,
            no_network=True,
        )
        for piece in self.markup(part):
            parser.feed(piece)
            yield from _emptied(parser.read_events())
        parser.close()
        yield from _emptied(parser.read_events())

    def related(self, part: str) -> dict[str, tuple[str, str]]:
        """What `part` ("" for the package) refers to: id -> (kind, part). Links are left out."""
        folder, base = posixpath.split(part)
        about = posixpath.join(folder, "_rels", f"{base}.rels")
        if about not in self:
            return {}
        found = {}
        for relationship in self.elements(about, "Relationship"):
            if relationship.get("TargetMode") == "External":
                continue
            kind = relationship.get("Type", "").rpartition("/")[2]
            target = posixpath.join("/", folder, relationship.get("Target", ""))
            found[relationship.get("Id", "")] = (kind, posixpath.normpath(target).strip("/"))
        return found

    def related_as(self, part: str, kind: str) -> list[str]:
        """The existing parts that `part` refers to as `kind`, in the order of the references."""
        return [to for is_kind, to in self.related(part).values() if is_kind == kind and to in self]


def _emptied(events: Any) -> Iterator[etree._Element]:
    for _, element in events:
        yield element
        element.clear(keep_tail=False)
        parent = element.getparent()
        while parent is not None and element.getprevious() is not None:
            del parent[0]


def elements_in(markup: bytes) -> int:
    """How many elements begin in a piece of XML."""
    return markup.count(b"<") - markup.count(b"</")


@contextmanager
def opened(source: Source) -> Iterator[Package]:
    """The package in a file; whatever is broken in it is a refusal.

    Raises:
        DocumentRejected: it is locked or damaged.
    """
    if source.content.startswith(_OLE_SIGNATURE):
        raise rejections.locked(source.name)
    try:
        with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
            yield Package(source.name, archive)
    except BROKEN as error:
        raise rejections.damaged(source.name) from error
