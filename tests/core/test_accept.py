from __future__ import annotations

import pytest

from gateway.core.accept import accepts_coding, wish
from gateway.core.http import Request

EVENTS = b"text/event-stream"


def request(*accept: str) -> Request:
    headers = tuple((b"accept", value.encode()) for value in accept)
    return Request(kind="http", method="GET", target=b"/", headers=headers, params={}, options={})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], 0),
        ([""], 0),
        (["*/*"], 0),
        (["text/*"], 0),
        (["text/event-stream"], 1),
        (["Text/Event-Stream; charset=utf-8"], 1),
        (["text/event-stream;q=0"], 0),
        (["text/event-stream;q=0.000, */*;q=0"], 0),
        (["text/event-stream; Q=0.5"], 0.5),
        (["text/event-stream;q = 0.5 "], 0.5),
        (["application/json, text/event-stream"], 1),
        (["application/json", "text/event-stream"], 1),
        (["text/event-stream, */*"], 1),
        (["application/json, text/event-stream;q=0.9"], 0),
        (["text/event-stream;q=0.5, */*;q=0.1"], 0.5),
        (["text/event-stream;q=2"], 0),
        (["text/event-stream;q=nan"], 0),
        (["text/event-stream;q=-1"], 0),
        (["text/event-stream;q="], 0),
        (["text/event-stream;q=0.5, text/event-stream"], 1),
        (["text/event-streams"], 0),
        (["x,,;q=1;;=,text/event-stream"], 1),
    ],
)
def test_a_stream_is_opened_for_those_who_name_it_and_want_nothing_more(accept: list[str], expected: float) -> None:
    assert wish(request(*accept), EVENTS) == expected


def test_bytes_of_any_kind_are_no_error() -> None:
    hostile = Request(
        kind="http", method="GET", target=b"/", headers=((b"Accept", bytes(range(256))),), params={}, options={}
    )
    assert wish(hostile, EVENTS) == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False),
        ("", False),
        ("*", False),
        ("identity", False),
        ("gzip", True),
        ("br, GZip;q=0.5, zstd", True),
        ("br,gzip ; q=0", False),
        ("gzip;q=x", False),
        ("xgzip", False),
    ],
)
def test_a_coding_is_used_where_it_is_named(value: str | None, expected: bool) -> None:
    headers = [] if value is None else [(b"Accept-Encoding", value.encode())]
    assert accepts_coding(headers, b"gzip") is expected
