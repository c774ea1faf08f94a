"""The access log: one JSON line for each request, an open and a close line for each stream.

Lines are formatted by hand, since this runs once per request: everything that a client chose passes through
`_text`, which escapes, or through a memo of it. Paths and queries are redacted first; no header but Host and
User-Agent is ever looked at. All output is ASCII, so that no client can end a line or forge a field.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii
from typing import Protocol

from gateway.admin.sink import Sink, Target
from gateway.core.access import AccessLog, NoAccessLog, StreamEnd
from gateway.core.asgi import Header, Scope
from gateway.core.redact import redact_path, redact_query

LONGEST = 2000  # characters kept of a path or a query: a line stays within what log shippers take
SHORT = 250  # and of a name or a header
_KEPT = 256  # longer texts are not worth their place in a memo
_MEMO = 2048  # entries; with _KEPT it bounds a memo to a few megabytes even when clients choose its keys

_USERINFO = re.compile(rb"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@")  # of a target that should have been a path

_EMPTY = '""'
_NO_EXTENSIONS: dict[str, object] = {}
_STREAMS = {"stdout": 1, "stderr": 2}

_log = logging.getLogger("tidegate.accesslog")

Raw = bytes | str


class Memo(dict[Raw, str]):
    """Remembers what `make` gave for the texts that come again and again."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Raw], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, raw: Raw) -> str:
        made = self._make(raw)
        if len(raw) <= _KEPT:
            if len(self) >= _MEMO:
                self.clear()
            self[raw] = made
        return made


def _text(raw: Raw, longest: int = SHORT) -> str:
    """A quoted JSON string; what is not UTF-8 shows as `\\xNN`, what is too long ends with three dots."""
    text = raw if isinstance(raw, str) else raw[: longest * 4 + 4].decode("utf-8", "backslashreplace")
    return encode_basestring_ascii(text if len(text) <= longest else text[:longest] + "...")


def _path(raw: Raw) -> str:
    path = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    path, mark, query = path.partition(b"?")  # of a malformed request the whole target may be all there is
    path = _USERINFO.sub(rb"\1REDACTED@", path)
    return _text(redact_path(path) + mark + redact_query(query), LONGEST)


def _query(raw: Raw) -> str:
    return _text(redact_query(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")), LONGEST)


class JsonAccessLog:
    """Writes to a sink; `clock` gives seconds since 1970.

    The lines of requests are made together when the event loop's turn ends: one after the other they cost
    half of what they do between other work.
    """

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._put = sink.put
        self._clock = clock
        self._answered: list[tuple[Scope, str, int, int, float, float]] = []
        self._second = -1
        self._stamp = ""
        self._texts = Memo(_text)
        self._paths = Memo(_path)

    @property
    def dropped(self) -> int:
        """Lines that could not be written."""
        return self._sink.dropped

    def close(self) -> None:
        """Write what is still buffered; lines that come later are dropped."""
        self._lines()
        self._sink.close()

    def request(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None:
        """A request was answered."""
        self._answered.append((scope, route, status, sent, seconds, self._clock()))
        if len(self._answered) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._lines)
            except RuntimeError:  # no loop, no turn
                self._lines()

    def _lines(self) -> None:
        answered, self._answered = self._answered, []
        if answered:
            self._put("".join([self._line(*one) for one in answered]))

    def _line(self, scope: Scope, route: str, status: int, sent: int, seconds: float, now: float) -> str:
        return (
            f'{{"time":{self._time(now)},"kind":"request",{self._asked(scope)},"route":{self._texts[route]},'
            f'"status":{status},"bytes":{sent},"seconds":{seconds:.6f}{self._session(scope)}}}\n'
        )

    def _session(self, scope: Scope) -> str:
        """Of a request that came over a session, which one: the `stream` of its lines."""
        session = scope.get("tidegate.session")
        return f',"session":{self._texts[session]}' if session is not None else ""

    def opened(self, stream: str, scope: Scope, route: str, transport: str) -> None:
        """A stream began."""
        self._lines()
        self._put(
            f'{{"time":{self._time(self._clock())},"kind":"open","stream":{_text(stream)},{self._asked(scope)},'
            f'"route":{self._texts[route]},"transport":{self._texts[transport]}}}\n'
        )

    def closed(self, stream: str, route: str, transport: str, end: StreamEnd) -> None:
        """A stream ended."""
        self._lines()
        self._put(
            f'{{"time":{self._time(self._clock())},"kind":"close","stream":{_text(stream)},'
            f'"route":{self._texts[route]},"transport":{self._texts[transport]},'
            f'"code":{end.code},"reason":{self._texts[end.label]},"seconds":{end.seconds:.3f},'
            f'"messages":{end.messages},"bytes":{end.bytes},"received":{end.received}}}\n'
        )

    def _time(self, now: float) -> str:
        second, rest = divmod(int(now * 1000), 1000)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime('"%Y-%m-%dT%H:%M:%S', time.gmtime(second))
        return f'{self._stamp}.{rest:03d}Z"'

    def _asked(self, scope: Scope) -> str:
        """Who asked for what; of a request that could not be parsed, as much as is known."""
        get = scope.get
        exchange = (get("extensions") or _NO_EXTENSIONS).get("tidegate.wire")
        notes: dict[object, tuple[str, str, str]] | None = getattr(exchange, "notes", None)
        client, host, agent = (notes and notes.get(self)) or self._who(scope, notes)
        query = get("query_string")
        return (
            f'{client},"method":{self._texts[get("method") or "GET"]},{host},'
            f'"path":{self._paths[get("raw_path") or get("path") or ""]},'
            f'"query":{_query(query) if query else _EMPTY},{agent}'
        )

    def _who(self, scope: Scope, notes: dict[object, tuple[str, str, str]] | None) -> tuple[str, str, str]:
        """The fields that are made of the headers, and are the same while a connection repeats these."""
        texts, get = self._texts, scope.get
        host, agent = _host_and_agent(get("headers") or ())
        client = get("client")
        who = (
            f'"client":{texts[client[0] or ""] if client else _EMPTY}',
            f'"host":{texts[host]}',
            f'"http":{texts[get("http_version") or ""]},"user_agent":{texts[agent]}',
        )
        if notes is not None:
            notes[self] = who
        return who


def _host_and_agent(headers: Iterable[Header]) -> Header:
    host = agent = b""
    for name, value in headers:
        if name == b"host":
            host = value
            if agent:
                break
        elif name == b"user-agent":
            agent = value
            if host:
                break
    return host, agent


class OpenAccessLog(AccessLog, Protocol):
    """An access log that somebody has to close, and that counts the lines it could not write."""

    @property
    def dropped(self) -> int: ...

    def close(self) -> None: ...


class Off(NoAccessLog):
    """What "off" opens."""

    dropped = 0

    def close(self) -> None: ...


def open_access_log(target: str) -> OpenAccessLog:
    """The access log for "stdout", "stderr", "off" or a file's path; raises OSError when that can't be opened."""
    if target == "off":
        return Off()
    return JsonAccessLog(Sink(open_target(target), name="access-log", report=_report))


def open_target(target: str) -> Target:
    """What "stdout", "stderr" or a path names; raises OSError."""
    fd = _STREAMS.get(target)
    return Target.open(target) if fd is None else Target(fd)


def _report(text: str) -> None:
    _log.warning("access log: %s", text)
