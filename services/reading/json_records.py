"""JSON and JSON lines: each record as lines "path: value"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from services.errors import DocumentRejected
from services.reading import rejections
from services.reading.blocks import Block, Source
from services.reading.decoding import stream_of, text_of
from services.reading.limits import MAX_ELEMENTS
from services.reading.tables import named

_RECORDS_BETWEEN_PROGRESS = 200
_JOINED = 200  # characters: a longer list of values has a line for each


def read(source: Source) -> Iterator[Block]:
    """A block for each record: for each line of JSON lines, and for each member of a list.

    An object that holds lists of objects has a block for each of those, under the name of the
    list. Values keep their path ("address.city: Bonn"); null and empty ones are left out.

    Raises:
        DocumentRejected: it is no JSON, of which the message tells the line, or has more values
            than a document ever has.
    """
    if source.extension == ".jsonl":
        yield from _json_lines(source)
        return
    text = text_of(source.name, source.content)
    if text.count(",") > MAX_ELEMENTS:
        raise rejections.too_many_elements(source.name, "values")
    try:
        value = _loads(text)
    except RecursionError as error:
        raise rejections.too_intricate(source.name, "is nested hundreds of times") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text[: error.pos].strip().count("\n") == 0:
            yield from _json_lines(source)  # by another name
            return
        raise _no_json(source.name, error.lineno) from error
    yield from _with_progress(source, _document(value))


def _loads(text: str) -> Any:
    """Numbers stay as they are written, and of a key that comes twice both values."""
    return _DECODER.decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    names = named([key for key, _ in pairs])
    return dict(zip(names, (item for _, item in pairs), strict=True))


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=str, parse_int=str)


def _json_lines(source: Source) -> Iterator[Block]:
    done = 0
    for number, line in enumerate(stream_of(source.name, source.content, newline=None), 1):
        done += len(line)
        if number % _RECORDS_BETWEEN_PROGRESS == 0:
            source.progress(min(1.0, done / len(source.content)))
        if not line.strip():
            continue
        try:
            yield from _record(_loads(line))
        except RecursionError as error:
            raise rejections.too_intricate(source.name, "is nested hundreds of times") from error
        except json.JSONDecodeError as error:
            raise _no_json(source.name, number) from error


def _no_json(name: str, line: int) -> DocumentRejected:
    return DocumentRejected(
        f"{name} is not valid JSON: line {line} cannot be read.",
        next_step="Correct that line, or add the file as txt.",
    )


def _with_progress(source: Source, blocks: Iterator[Block]) -> Iterator[Block]:
    done = 0
    for number, block in enumerate(blocks):
        done += len(block.text)
        if number % _RECORDS_BETWEEN_PROGRESS == 0:
            source.progress(done / (done + len(source.content)))
        yield block


def _document(value: Any) -> Iterator[Block]:
    if isinstance(value, list):
        for record in value:
            yield from _record(record)
        return
    if not isinstance(value, dict):
        yield from _record(value)
        return
    lists = {key: item for key, item in value.items() if _is_records(item)}
    yield from _record({key: item for key, item in value.items() if key not in lists})
    for key, records in lists.items():
        yield Block("heading", key.strip() or "records", level=1)
        for record in records:
            yield from _record(record)


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _record(value: Any) -> Iterator[Block]:
    if text := "\n".join(_lines("", value)):
        yield Block("row", text)


def _lines(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _lines(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list):
        yield from _list_lines(path, value)
    elif (text := _scalar(value)) is not None:
        yield f"{path}: {text}" if path else text


def _list_lines(path: str, values: list[Any]) -> Iterator[str]:
    if not any(isinstance(value, (dict, list)) for value in values):
        texts = [text for value in values if (text := _scalar(value)) is not None]
        line = ", ".join(texts)
        if len(line) <= _JOINED:
            if line:
                yield f"{path}: {line}" if path else line
            return
    for number, value in enumerate(values, 1):
        yield from _lines(f"{path} {number}".strip(), value)


def _scalar(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).strip()
    return text or None
