"""Zip archives: the files in them, under the names of their folders."""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import PurePath

from services.errors import DocumentRejected
from services.reading import limits, rejections
from services.reading.blocks import Source
from services.reading.packed import BROKEN, KNOWN_PACKING

_BYTES_AT_ONCE = 1_000_000
_BEGINNING = 1_000
_ENCODINGS_OF_NAMES = ("utf-8", "cp437", "cp1252", "cp932", "gb18030")
_NAMES_OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"}


def members(source: Source) -> Iterator[Source]:
    """Each file: "manuals.zip" holds "manuals/pumps/a.pdf".

    What macOS and Windows add, and hidden files, are left out. Names lead nowhere outside of the
    archive. Of a file of a type that is not read only the beginning comes: it will be refused.

    Raises:
        DocumentRejected: it is locked or damaged, or unpacks to more than an archive may.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
            entries = _entries(source, archive)
            names = _names(source.name, [path for _, path in entries])
            done = 0
            for (entry, _), name in zip(entries, names, strict=True):
                content = _unpacked(archive, entry, whole=_is_read(name))
                done += entry.compress_size
                source.progress(min(1.0, done / len(source.content)))
                yield Source(name, content)
    except BROKEN as error:
        raise rejections.damaged(source.name) from error


def _entries(
    source: Source, archive: zipfile.ZipFile
) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """The files to read, and the path of each, once all of them may be unpacked."""
    found = []
    unpacked = skipped = 0
    for entry in archive.infolist():
        if entry.is_dir():
            continue
        path = harmless_path(entry)
        if not path or any(_is_of_system(name) for name in path):
            skipped += 1
            continue
        found.append((entry, path))
        unpacked += entry.file_size if _is_read(path[-1]) else 0
    if len(found) > limits.MAX_MEMBERS:
        raise rejections.too_many(source.name)
    if unpacked > limits.MAX_UNPACKED_BYTES:
        raise _too_large(source.name, unpacked)
    if any(entry.flag_bits & 1 for entry, _ in found):
        raise _locked(source.name)
    if any(entry.compress_type not in KNOWN_PACKING for entry, path in found):
        raise _unknown_packing(source.name)
    if skipped:
        source.note(f"{skipped} hidden file{'' if skipped == 1 else 's'} left out")
    return found


def _is_of_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _NAMES_OF_SYSTEMS or name.startswith("~$")


def _is_read(name: str) -> bool:
    from services.reading.files import CONTAINERS, READERS  # which import this when they need it

    extension = PurePath(name).suffix.lower()
    return extension in READERS or extension in CONTAINERS


def harmless_path(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """The folders and the name of an entry, without those that lead out of the archive."""
    written = entry.filename
    if not entry.flag_bits & 0x800:  # not marked as UTF-8, which many programs forget
        written = _name_in_words(written)
    written = re.sub(r"^[A-Za-z]:", "", written.replace("\\", "/"))
    parts = (re.sub(r"[\x00-\x1f\x7f]", "", part).strip() for part in written.split("/"))
    return tuple(part for part in parts if part not in ("", ".", ".."))


def _name_in_words(name: str) -> str:
    """A name that was taken for cp437, in the first encoding that makes words of it."""
    try:
        raw = name.encode("cp437")
    except UnicodeError:
        return name
    for encoding in _ENCODINGS_OF_NAMES:
        try:
            read = raw.decode(encoding)
        except UnicodeError:
            continue
        if encoding == "utf-8" or _is_in_words(read):
            return read
    return name


def _is_in_words(name: str) -> bool:
    """Whether it has neither signs nor letters of other alphabets among Latin ones."""
    foreign = [letter for letter in name if not letter.isascii()]
    if not all(letter.isalpha() for letter in foreign):
        return False
    kinds = {unicodedata.name(letter, "").partition(" ")[0] for letter in foreign}
    return not kinds & {"GREEK", "HALFWIDTH"}


def _names(archive: str, paths: list[tuple[str, ...]]) -> list[str]:
    """A name for each path. The archive's own is the first folder, unless all are in one of that
    name already."""
    folder = re.sub(r"\.zip$", "", archive, flags=re.IGNORECASE)
    base = folder.rpartition("/")[2]
    if paths and all(len(path) > 1 and path[0] == base for path in paths):
        folder = folder.rpartition("/")[0]
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        name = "/".join(filter(None, (folder, *path)))
        stem, dot, extension = name.rpartition(".")
        number = 2
        while name in taken:
            name = f"{stem} ({number}){dot}{extension}"
            number += 1
        taken.add(name)
        names.append(name)
    return names


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *, whole: bool) -> bytes:
    """The content of an entry: never more than the size it declares, which is counted before."""
    pieces = []
    with archive.open(entry) as packed:
        if not whole:
            return packed.read(_BEGINNING)
        while piece := packed.read(_BYTES_AT_ONCE):
            pieces.append(piece)
    return b"".join(pieces)


def _too_large(name: str, size: int) -> DocumentRejected:
    most = limits.MAX_UNPACKED_BYTES // 1_000_000
    return DocumentRejected(
        f"{name} unpacks to {size / 1e6:.0f} MB. At most {most} MB can be read.",
        next_step="Split it into smaller archives, or add its files by themselves.",
    )


def _locked(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is protected by a password.",
        next_step="Unpack it, and add its files or a zip without a password.",
    )


def _unknown_packing(name: str) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is packed in a way that cannot be read.",
        next_step="Pack its files again as an ordinary zip, or add them by themselves.",
    )
