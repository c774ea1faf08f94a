from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.accesslog import LONGEST, JsonAccessLog, Memo, Off, open_access_log
from gateway.admin.sink import Sink
from gateway.core.access import AccessLog, StreamEnd
from gateway.core.asgi import Scope

NOW = 1_790_000_000.0625


class Lines(Sink):
    """A sink that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, line: str) -> None:
        self.lines.append(line)

    @property
    def dropped(self) -> int:
        return 0

    def only(self) -> dict[str, object]:
        (line,) = self.lines
        assert line.endswith("\n")
        assert line.count("\n") == 1
        assert line.isascii()
        fields = json.loads(line, object_pairs_hook=list)
        assert len(dict(fields)) == len(fields)
        return dict(fields)


def request_scope(**changes: object) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/api/shirts",
        "raw_path": b"/api/shirts",
        "query_string": b"page=2&access_token=abc",
        "headers": [
            (b"host", b"shop.example"),
            (b"authorization", b"Bearer abc"),
            (b"user-agent", b"curl/8.5.0"),
            (b"cookie", b"session=abc"),
        ],
        "client": ("192.0.2.7", 40000),
        **changes,
    }


def logged(write: Callable[[AccessLog], None], clock: Callable[[], float] = lambda: NOW) -> dict[str, object]:
    lines = Lines()
    write(JsonAccessLog(lines, clock))
    return lines.only()


def test_a_request() -> None:
    assert logged(lambda log: log.request(request_scope(), "/api/shirts", 200, 1234, 0.0123456)) == {
        "time": "2026-09-21T14:13:20.062Z",
        "kind": "request",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "shop.example",
        "path": "/api/shirts",
        "query": "page=2&access_token=REDACTED",
        "http": "1.1",
        "user_agent": "curl/8.5.0",
        "route": "/api/shirts",
        "status": 200,
        "bytes": 1234,
        "seconds": 0.012346,
    }


def test_a_connection_that_repeats_its_headers_is_described_once() -> None:
    lines = Lines()
    log = JsonAccessLog(lines, lambda: NOW)
    exchange = SimpleNamespace(notes={})
    for method, path in (("GET", b"/a"), ("HEAD", b"/b")):
        log.request(
            request_scope(method=method, raw_path=path, extensions={"tidegate.wire": exchange}), "", 200, 1, 0.0
        )
    first, second = map(json.loads, lines.lines)
    assert [(line["method"], line["path"]) for line in (first, second)] == [("GET", "/a"), ("HEAD", "/b")]
    assert all(first[field] == second[field] for field in ("client", "host", "http", "user_agent"))
    assert list(exchange.notes) == [log]


def test_a_stream_has_two_lines_tied_by_its_id() -> None:
    scope = request_scope(type="websocket", query_string=b"live.ticket=abc")
    del scope["method"]  # ASGI gives none for WebSocket
    assert logged(lambda log: log.opened("k3x9", scope, "/api/shirts", "websocket")) == {
        "time": "2026-09-21T14:13:20.062Z",
        "kind": "open",
        "stream": "k3x9",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "shop.example",
        "path": "/api/shirts",
        "query": "live.ticket=REDACTED",
        "http": "1.1",
        "user_agent": "curl/8.5.0",
        "route": "/api/shirts",
        "transport": "websocket",
    }
    end = StreamEnd(code=4413, label="too_slow", seconds=61.5, messages=7, bytes=900, received=2)
    assert logged(lambda log: log.closed("k3x9", "/api/shirts", "websocket", end)) == {
        "time": "2026-09-21T14:13:20.062Z",
        "kind": "close",
        "stream": "k3x9",
        "route": "/api/shirts",
        "transport": "websocket",
        "code": 4413,
        "reason": "too_slow",
        "seconds": 61.5,
        "messages": 7,
        "bytes": 900,
        "received": 2,
    }


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"type": "http", "headers": [], "client": None},
        {"client": (None, None), "raw_path": None, "path": None, "headers": None, "query_string": None},
        {"client": (), "method": None, "http_version": None},
        {"client": ["", 0], "path": "/\ud800", "raw_path": b""},
    ],
)
def test_a_request_of_which_little_is_known(scope: Scope) -> None:
    fields = logged(lambda log: log.request(scope, "", 400, 0, 0))
    assert fields["client"] == ""
    assert fields["method"] == "GET"
    assert fields["status"] == 400


def test_a_malformed_target_given_as_the_path_is_redacted() -> None:
    scope = request_scope(raw_path=b"/a;jsessionid=abc?token=abc&b=1", query_string=b"")
    fields = logged(lambda log: log.request(scope, "", 400, 0, 0))
    assert fields["path"] == "/a;jsessionid=REDACTED?token=REDACTED&b=1"


def test_a_password_in_a_malformed_target_is_redacted() -> None:
    fields = logged(lambda log: log.request({"type": "http", "path": "http://ada:pw@shop/x?y=1"}, "", 400, 0, 0))
    assert fields["path"] == "http://REDACTED@shop/x?y=1"
    assert logged(lambda log: log.request(request_scope(raw_path=b"/a//b@c"), "", 200, 0, 0))["path"] == "/a//b@c"


def test_what_is_too_long_is_cut() -> None:
    scope = request_scope(
        raw_path=b"/" + b"a" * 100_000,
        query_string=b"q=" + b"\xe2\x82\xac" * 30_000,
        headers=[(b"host", b"h" * 1000), (b"user-agent", b"\xf0\x9f\x91\x95" * 20_000)],
    )
    fields = logged(lambda log: log.request(scope, "", 431, 0, 0))
    assert fields["path"] == "/" + "a" * (LONGEST - 1) + "..."
    assert fields["query"] == "q=" + "€" * (LONGEST - 2) + "..."
    assert fields["host"] == "h" * 250 + "..."
    assert fields["user_agent"] == "👕" * 250 + "..."


def test_a_name_of_exactly_the_longest_that_is_cut_says_so() -> None:
    fields = logged(
        lambda log: log.request(request_scope(headers=[(b"host", b"\xf0\x9f\x91\x95" * 251)]), "", 200, 0, 0)
    )
    assert fields["host"] == "👕" * 250 + "..."


raw = st.binary(max_size=40) | st.sampled_from([b'"', b"\\", b"\n", b'","status":200,"x":"', b"\xff", b"\x1b[2J"])
text = st.text(max_size=20)


@given(
    scope=st.fixed_dictionaries(
        {
            "raw_path": raw.map(b"/".__add__),
            "query_string": raw,
            "method": text,
            "client": st.tuples(text, st.just(1)),
            "headers": st.tuples(st.tuples(st.just(b"user-agent"), raw), st.tuples(st.just(b"host"), raw)),
        }
    ),
    route=text,
    stream=text,
)
def test_no_client_can_break_a_line_or_forge_a_field(scope: Scope, route: str, stream: str) -> None:
    fields = logged(lambda log: log.request(scope, route, 404, 1, 2.0))
    assert fields["status"] == 404
    assert fields["bytes"] == 1
    assert fields["method"] == (scope["method"] or "GET")
    assert fields["client"] == scope["client"][0]
    assert fields["route"] == route
    assert fields["user_agent"] == shown(scope["headers"][0][1])
    assert fields["host"] == shown(scope["headers"][1][1])
    if "REDACTED" not in str(fields["path"]):
        assert fields["path"] == shown(scope["raw_path"])
    if "REDACTED" not in str(fields["query"]):
        assert fields["query"] == shown(scope["query_string"])
    opened = logged(lambda log: log.opened(stream, scope, route, "sse"))
    assert opened["stream"] == stream
    assert opened.keys() - fields.keys() == {"stream", "transport"}


def shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


@given(path=st.text(st.characters(exclude_characters="/?;=%", codec="utf-8"), max_size=30))
def test_an_encoded_path_is_logged_as_it_came(path: str) -> None:
    came = "/" + quote(path, safe="")
    fields = logged(lambda log: log.request(request_scope(raw_path=came.encode()), "", 200, 0, 0))
    assert fields["path"] == came


def test_time_goes_on() -> None:
    lines = Lines()
    times = iter([NOW, NOW + 0.0001, NOW + 0.001, NOW + 1, NOW - 60])
    log = JsonAccessLog(lines, lambda: next(times))
    for _ in range(5):
        log.request(request_scope(), "", 200, 0, 0)
    assert [json.loads(line)["time"][17:] for line in lines.lines] == [
        "20.062Z",
        "20.062Z",
        "20.063Z",
        "21.062Z",
        "20.062Z",
    ]


def test_credentials_are_nowhere() -> None:
    lines = Lines()
    log = JsonAccessLog(lines)
    scope = request_scope(subprotocols=["bearer.abc"], query_string=b"token=abc&a=%61bc?key=abc")
    log.request(scope, "/", 200, 0, 0)
    log.opened("1", scope, "/", "sse")
    assert "abc" not in "".join(lines.lines)


def test_a_memo_is_bounded_in_entries_and_in_the_length_of_each() -> None:
    made: list[bytes | str] = []

    def make(raw: bytes | str) -> str:
        made.append(raw)
        return "x"

    memo = Memo(make)
    assert [memo["a"], memo["a"], memo["b"]] == ["x", "x", "x"]
    assert made == ["a", "b"]
    assert memo["c" * 10_000] == "x"
    assert "c" * 10_000 not in memo
    for number in range(10_000):
        memo[str(number)]
        assert len(memo) <= 2048


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = open_access_log(str(path))
    log.request(request_scope(), "/api/shirts", 200, 1, 0.1)
    log.close()
    assert json.loads(path.read_text())["route"] == "/api/shirts"
    assert log.dropped == 0


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_access_log(str(tmp_path / "nowhere" / "access.log"))


def test_off() -> None:
    log = open_access_log("off")
    assert isinstance(log, Off)
    log.request(request_scope(), "", 200, 0, 0)
    log.close()
    assert log.dropped == 0


@pytest.mark.parametrize(("name", "fd"), [("stdout", 1), ("stderr", 2)])
def test_the_standard_streams(name: str, fd: int, capfd: pytest.CaptureFixture[str]) -> None:
    log = open_access_log(name)
    log.request(request_scope(), "", 200, 0, 0)
    log.close()
    os.fstat(fd)  # still open
    assert json.loads(getattr(capfd.readouterr(), name[3:]))["status"] == 200


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_lost_lines_are_counted_and_told_to_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tidegate.accesslog"):
        log = open_access_log("/dev/full")
        for _ in range(10):
            log.request(request_scope(), "", 200, 0, 0)
        log.close()
    assert log.dropped == 10
    assert [record.getMessage() for record in caplog.records] == [
        "access log: lines are dropped: No space left on device"
    ]


async def test_lines_of_one_turn_are_made_together_and_in_order() -> None:
    lines = Lines()
    log = JsonAccessLog(lines, lambda: NOW)
    for route in ("a", "b"):
        log.request(request_scope(), route, 200, 1, 0.1)
    assert lines.lines == []
    await asyncio.sleep(0)
    log.request(request_scope(), "c", 200, 1, 0.1)
    log.opened("1", request_scope(), "d", "sse")
    await asyncio.sleep(0)
    assert [text.count("\n") for text in lines.lines] == [2, 1, 1]
    assert [json.loads(line)["route"] for line in "".join(lines.lines).splitlines()] == ["a", "b", "c", "d"]


async def test_what_waits_for_the_end_of_the_turn_is_written_on_close(tmp_path: Path) -> None:
    log = open_access_log(str(tmp_path / "access.log"))
    log.request(request_scope(), "a", 200, 1, 0.1)
    log.close()
    assert '"route":"a"' in (tmp_path / "access.log").read_text()
    await asyncio.sleep(0)
    assert log.dropped == 0
