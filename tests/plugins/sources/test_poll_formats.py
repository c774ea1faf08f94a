from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import MAX_DEPTH, Json
from gateway_plugins.sources.poll_formats import FormatName, formats

ALL = formats(json.loads)


@pytest.mark.parametrize(
    ("name", "body", "document"),
    [
        ("json", b'{"a": 1}', {"a": 1}),
        ("ndjson", b'{"a":1}\n\n[2]\r\n3', [{"a": 1}, [2], 3]),
        ("ndjson", b"", []),
        ("text", b"h\xc3\xa9\n", "h\u00e9\n"),
        ("csv", b'id,name\r\n1,"a, ""b"""\r\n\r\n2,c\r\n', [{"id": "1", "name": 'a, "b"'}, {"id": "2", "name": "c"}]),
        ("csv", b"", []),
        ("csv", b"a\n" + b"x" * 200_000, [{"a": "x" * 200_000}]),
        ("csv", b"id\n", []),
        ("xml", b"<shop/>", {"shop": ""}),
        ("xml", b"<a>1 &amp; &#50;</a>", {"a": "1 & 2"}),
        (
            "xml",
            b'<?xml version="1.0"?><s v="1"><i id="1">x</i><i id="2"/><n><m>y</m></n> tail</s>',
            {
                "s": {
                    "@v": "1",
                    "i": [{"@id": "1", "#text": "x"}, {"@id": "2"}],
                    "n": {"m": "y"},
                    "#text": "tail",
                }
            },
        ),
        ("xml", b"<a><b>1</b><b>2</b><b>3</b></a>", {"a": {"b": ["1", "2", "3"]}}),
    ],
)
def test_documents(name: FormatName, body: bytes, document: Json) -> None:
    assert ALL[name].decode(body) == document


BOMB = b'<!DOCTYPE a [<!ENTITY b "SECRET"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("xml", BOMB, "document type"),
        ("xml", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        ("xml", b"<a>&SECRET;</a>", "not XML"),
        ("xml", b"<a><b></a>", "not XML"),
        ("xml", b"", "not XML"),
        ("xml", b'<?xml version="1.0" encoding="SECRET"?><a/>', "not XML"),
        ("xml", b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), "nested too deeply"),
        ("csv", b"a,b\n1\n", "longer or shorter"),
        ("csv", b"a,a\n1,2\n", "two columns"),
        ("csv", b'a\n"SECRET', "not CSV"),
        ("csv", b"\xff", "not UTF-8"),
        ("text", b"\xff", "not UTF-8"),
    ],
)
def test_what_is_not_of_the_format(name: FormatName, body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        ALL[name].decode(body)
    assert "SECRET" not in str(caught.value)


@given(st.sampled_from(["xml", "csv", "text", "ndjson"]), st.binary(max_size=200))
def test_nothing_but_a_value_error(name: FormatName, body: bytes) -> None:
    with contextlib.suppress(ValueError):
        ALL[name].decode(body)


@pytest.mark.parametrize(
    ("name", "content_type", "taken"),
    [
        ("json", b"application/problem+json; charset=utf-8", True),
        ("json", b"", True),
        ("json", b"text/plain", False),
        ("xml", b"application/atom+xml", True),
        ("xml", b"application/json", False),
        ("csv", b"application/vnd.ms-excel", True),
        ("csv", b"text/html", False),
        ("text", b"application/xhtml", False),
    ],
)
def test_content_types(name: FormatName, content_type: bytes, taken: bool) -> None:
    assert ALL[name].takes(content_type) is taken


@pytest.mark.parametrize("name", ["json", "ndjson"])
@pytest.mark.parametrize("unit", [b"[]", b"{}", b"0", b'{"a":0}'])
def test_values_are_bounded(name: FormatName, unit: bytes) -> None:
    with pytest.raises(ValueError, match="it has more than 1000000 values"):
        ALL[name].decode(b"[" + unit + (b"," + unit) * 1_000_000 + b"]")


MANY = 1_000_001


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ndjson", b"1\n" * MANY),
        ("csv", b"a\n" + b"1\n" * MANY),
        ("csv", b"," * MANY),
        ("csv", b"a,b\n" + b"1,2\r" * (MANY // 2)),
        ("csv", b'a\nx"' + b",1" * MANY + b'"'),
        ("xml", b"<a>" + b"<b/>" * MANY + b"</a>"),
        ("xml", b"<a " + b" ".join(b"a%d =\n'1'" % n for n in range(MANY)) + b"/>"),
        ("xml", ("<a>" + "<b/>" * MANY + "</a>").encode("utf-16")),
        ("xml", ("<a " + " ".join(f"a{n}='1'" for n in range(MANY)) + "/>").encode("utf-16-be")),
    ],
    ids=range(9),
)
def test_values_of_other_formats_are_bounded(name: FormatName, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in ("csv.reader", "xml.parsers.expat.ParserCreate"):
        monkeypatch.setattr(reader, lambda *_, **__: pytest.fail("it is read before it is counted"))
    with pytest.raises(ValueError, match="it has more than 1000000 values"):
        ALL[name].decode(body)


@pytest.mark.parametrize(
    ("name", "body", "document"),
    [
        ("csv", b'a,b\n1,"' + b",\n" * MANY + b'"', [{"a": "1", "b": ",\n" * MANY}]),
        ("csv", b'a\n"' + b'"",' * MANY + b'"', [{"a": '",' * MANY}]),
        ("xml", b"<a>" + b"= " * MANY + b"</a>", {"a": ("= " * MANY).strip()}),
    ],
    ids=range(3),
)
def test_texts_of_other_formats_are_no_values(name: FormatName, body: bytes, document: Json) -> None:
    assert ALL[name].decode(body) == document


def test_what_only_looks_like_many_values_in_a_text_is_none() -> None:
    text = ',[{ \\" ' * 300_000
    assert ALL["json"].decode(b'["' + text.encode() + b'",1]') == [',[{ " ' * 300_000, 1]
