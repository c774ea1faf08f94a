"""What a backend's bodies are written in, and how they become JSON.

Pure: bytes in, a document out, ValueError (without any of the data) for what is not of the format. Bodies are bounded
in size before they come here; what is made of them is bounded in depth, and in the number of its values, which are
counted before anything is made.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from xml.parsers import expat

from gateway.plugin import MAX_DEPTH, Json

Decode = Callable[[bytes], Json]
FormatName = Literal["json", "ndjson", "xml", "csv", "text"]

# Expat's own text buffer; one call of the handler for so many characters.
_XML_BUFFER = 64 * 1024

# Each value takes some 60 bytes once it is decoded, however few it had in the body: a list of lists 3. So many are as
# much as is held of the largest documents that anyone follows.
MAX_VALUES = 1_000_000
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CSV_QUOTED = re.compile(rb'(?<![^,\r\n])"(?:[^"]|"")*"')  # elsewhere in a field a quote is only a character
# A field as long as any body: Python's own bound of 128 KB, for the whole process, would refuse some that are right.
csv.field_size_limit(2**31 - 1)
# An element or an attribute; NUL for UTF-16.
_XML_NODE = re.compile(rb"""<\0?[^/!?\0]|=[\s\0]*["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """`label` names it to clients, `accept` is what is asked for.

    `types` are the ends of content types that are taken; empty: all but HTML, as that of a login page.
    """

    label: str
    accept: bytes
    types: tuple[bytes, ...]
    decode: Decode

    def takes(self, content_type: bytes) -> bool:
        """Whether a body of this content type may be one; one without a type may."""
        media = content_type.partition(b";")[0].strip().lower()
        if not media:
            return True
        return media.endswith(self.types) if self.types else not media.endswith(b"html")


def formats(json: Decode) -> dict[FormatName, Format]:
    """Every format, by its name in the configuration; `json` reads one JSON text."""
    return {
        "json": Format(
            label="JSON",
            accept=b"application/json",
            types=(b"/json", b"+json"),
            decode=_counted(json, lambda body: _marks(body, b",[{"), _STRINGS),
        ),
        "ndjson": Format(
            label="NDJSON",
            accept=b"application/x-ndjson",
            types=(),
            decode=_counted(lambda body: _lines(body, json), lambda body: _marks(body, b",[{\n"), _STRINGS),
        ),
        "xml": Format(
            label="XML",
            accept=b"application/xml, text/xml;q=0.9",
            types=(b"/xml", b"+xml"),
            decode=_counted(_xml, _xml_nodes),
        ),
        "csv": Format(
            label="CSV",
            accept=b"text/csv",
            types=(),
            decode=_counted(_csv, lambda body: _marks(body, b",\n\r"), _CSV_QUOTED),
        ),
        "text": Format(label="text", accept=b"text/plain", types=(), decode=_text),
    }


def _counted(decode: Decode, count: Callable[[bytes], int], text: re.Pattern[bytes] | None = None) -> Decode:
    """The same decoder for documents of a bounded number of values, of which `count` finds no fewer than there are.

    What is `text` is left out where that decides; it takes longer to tell.
    """

    def bounded(body: bytes) -> Json:
        if count(body) > MAX_VALUES and (text is None or count(text.sub(b"", body)) > MAX_VALUES):
            raise ValueError(f"it has more than {MAX_VALUES} values")
        return decode(body)

    return bounded


def _marks(body: bytes, marks: bytes) -> int:
    """How many of these bytes there are: each value has one of them before or after it."""
    return sum(body.count(mark) for mark in marks)


def _xml_nodes(body: bytes) -> int:
    """How many elements and attributes there are, or what looks like them."""
    if _marks(body, b"<=") <= MAX_VALUES:
        return 0  # fewer than would matter
    return sum(1 for _ in _XML_NODE.finditer(body))


def _lines(body: bytes, json: Decode) -> Json:
    """One JSON text a line; the list of them."""
    return [json(line) for line in body.split(b"\n") if line.strip()]


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None


def _csv(body: bytes) -> Json:
    """A list of objects, by the names in the first line; every value is text."""
    reader = csv.reader(io.StringIO(_text(body), newline=""), strict=True)
    try:
        names = next(reader, [])
        if len(set(names)) < len(names):
            raise ValueError("it has two columns of one name")
        rows: list[Json] = []
        for row in reader:
            if row:
                if len(row) != len(names):
                    raise ValueError("it has a row that is longer or shorter than its first line")
                rows.append(dict(zip(names, row, strict=True)))
    except csv.Error:
        raise ValueError("it is not CSV") from None
    return rows


class _Tree:
    """XML elements as objects: attributes under @name, text under #text; an element of text alone is that text.

    Elements of one name under one parent are a list, one alone is not: `items.at: shop.shirt[]` reads both.
    Document types are refused, and with them every entity but the five of XML itself.
    """

    def __init__(self) -> None:
        self.root: dict[str, Json] = {}
        self._open: list[tuple[str, dict[str, Json], list[str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise ValueError("XML is nested too deeply")
        self._open.append((name, {f"@{key}": value for key, value in attributes.items()}, []))

    def text(self, data: str) -> None:
        self._open[-1][2].append(data)

    def end(self, _: str) -> None:
        name, fields, pieces = self._open.pop()
        text = "".join(pieces).strip()
        if text and fields:
            fields["#text"] = text
        parent = self._open[-1][1] if self._open else self.root
        value: Json = fields or text
        if name not in parent:
            parent[name] = value
            return
        before = parent[name]
        if isinstance(before, list):
            before.append(value)
        else:
            parent[name] = [before, value]


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type")


def _xml(body: bytes) -> Json:
    tree, parser = _Tree(), expat.ParserCreate()
    parser.buffer_text, parser.buffer_size = True, _XML_BUFFER
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError):
        raise ValueError("it is not XML") from None
    return tree.root
