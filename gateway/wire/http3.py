"""One request over HTTP/3 and its response, between an ASGI application and a stream.

Decides which requests are understood and which answer a client gets when the application fails (RFC 9114 sections
4.1 to 4.3). Knows nothing of QUIC: what carries it is a `Carrier`, whose calls never wait.
"""

from __future__ import annotations

import re
from typing import Protocol

from gateway.core.asgi import Headers, Message, Scope
from gateway.core.problem import problem
from gateway.core.settings import Limits
from gateway.errors import ClientError, TidegateError
from gateway.wire.asgi import Ends, decoded, refused_scope
from gateway.wire.bell import Bell
from gateway.wire.head import is_host
from gateway.wire.listener import Listener, log
from gateway.wire.response import header_lines

HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024

WAITING, OPEN, TRAILERS, DONE, GONE = range(5)

_MUTE = frozenset({204, 304})
# What belongs to a connection of HTTP/1.1; a response with one of them is malformed (RFC 9114 section 4.2).
_OTHERS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_FIELD_OVERHEAD = 32  # RFC 9114 section 4.2.2 counts so much for each field


class Carrier(Protocol):
    """A connection, as its requests see it."""

    def fields(self, stream: int, fields: Headers, /, *, last: bool) -> None:
        """Send a head, or trailers, which are the last."""

    def data(self, stream: int, data: bytes, /, *, last: bool) -> None:
        """Send a piece of the body, which may be empty when it is the last."""

    def reset(self, stream: int, /) -> None:
        """Break the response off."""

    def waiting(self, stream: int, /) -> int:
        """How many bytes the client has not acknowledged."""

    def over(self, stream: int, /) -> None:
        """The response is complete, or broken off: nothing more of the request is wanted."""

    def more(self) -> None:
        """A request has room for more of its body again."""


class Request:
    """`receive` and `send` of one request. `unread` is how much of its body waits to be received."""

    __slots__ = (
        "_bell", "_carrier", "_chunks", "_given", "_listener", "_mute", "_stalled", "_stream", "_trailers", "_trails",
        "phase", "unread", "whole",
    )  # fmt: skip

    def __init__(self, listener: Listener, carrier: Carrier, stream: int, fields: Headers, *, whole: bool) -> None:
        self._listener = listener
        self._carrier = carrier
        self._stream = stream
        self._bell = Bell()
        self._chunks: list[bytes] = []
        self._given = self._stalled = False
        self._mute = (b":method", b"HEAD") in fields
        self._trailers: Headers = []
        self._trails = False
        self.whole = whole
        self.phase = WAITING
        self.unread = 0

    # From the connection.

    def feed(self, data: bytes) -> None:
        """A piece of the body."""
        if data and self.phase < DONE:
            self._chunks.append(data)
            self.unread += len(data)
            self._bell.ring()

    def end(self) -> None:
        """The body is complete."""
        self.whole = True
        self._bell.ring()

    def gone(self) -> None:
        """The client has given up, or left."""
        if self.phase < DONE:
            self.phase = GONE
        self._chunks.clear()
        self._bell.ring()

    def flowing(self) -> None:
        """The client may have read something."""
        if self._stalled:
            self._bell.ring()

    # ASGI.

    async def run(self, scope: Scope) -> None:
        """Call the application, and leave the stream in order whatever it does."""
        try:
            await self._listener.app(scope, self.receive, self.send)
            if self.phase < DONE:
                raise RuntimeError("the application returned before its response was complete")
        except Exception as error:
            self._failed(error)
        finally:
            if self.phase < DONE:
                self.phase = GONE
                self._carrier.reset(self._stream)
            self._carrier.over(self._stream)
            self._listener.done()

    def _failed(self, error: Exception) -> None:
        if isinstance(error, TidegateError) and self.phase >= OPEN:
            log.debug("a response was broken off: %s", error)
        else:
            log.error("the application failed", exc_info=error)
        if self.phase == WAITING:
            self.refuse(ClientError(500, "internal", "the request could not be answered"))

    def refuse(self, error: ClientError) -> int:
        """Answer in the application's place; the size of the body."""
        headers, body = problem(error.status, error.code, error.detail, error.headers)
        self._start(error.status, headers)
        self._body(body, last=True)
        return len(body)

    async def receive(self) -> Message:
        while self.phase < DONE:
            if self._chunks or (self.whole and not self._given):
                return self._request()
            await self._bell.wait()
        return {"type": "http.disconnect"}

    def _request(self) -> Message:
        body = b"".join(self._chunks)
        self._chunks.clear()
        self._given = self.whole
        if self.unread:
            self.unread = 0
            self._carrier.more()
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: Message) -> None:
        if self.phase >= DONE:
            return
        kind = message["type"]
        if kind == "http.response.start" and self.phase == WAITING:
            self._start(message["status"], message.get("headers", ()), trailers=message.get("trailers", False))
        elif kind == "http.response.body" and self.phase == OPEN:
            self._body(bytes(message.get("body", b"")), last=not message.get("more_body", False))
        elif kind == "http.response.trailers" and self.phase == TRAILERS:
            self._trail(message)
        else:
            raise RuntimeError(f"{kind} can't be sent now")
        self._stalled = self._carrier.waiting(self._stream) > HIGH_WATER
        while self._stalled and self.phase < DONE:
            await self._bell.wait()
            self._stalled = self._carrier.waiting(self._stream) > LOW_WATER

    def _start(self, status: int, headers: Headers, *, trailers: bool = False) -> None:
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not the status of a response")
        fields = _checked(headers)
        if not any(name == b"date" for name, _ in fields):
            fields.append((b"date", self._listener.sweep.date[len(b"date: ") : -2]))
        self._mute = self._mute or status in _MUTE
        self._trails = trailers
        self.phase = OPEN
        self._carrier.fields(self._stream, [(b":status", b"%d" % status), *fields], last=False)

    def _body(self, data: bytes, *, last: bool) -> None:
        data = b"" if self._mute else data
        if last and self._trails:
            self.phase = TRAILERS
        elif last:
            self._done()
        if data or self.phase == DONE:
            self._carrier.data(self._stream, data, last=self.phase == DONE)

    def _done(self) -> None:
        """Whoever waits to receive something is told that nothing comes any more."""
        self.phase = DONE
        self._bell.ring()

    def _trail(self, message: Message) -> None:
        self._trailers += _checked(message.get("headers", ()))
        if message.get("more_trailers", False):
            return
        self._done()
        if self._trailers:
            self._carrier.fields(self._stream, self._trailers, last=True)
        else:
            self._carrier.data(self._stream, b"", last=True)


def _checked(headers: Headers) -> Headers:
    """Fields as HTTP/3 has them; raises ValueError when one holds a line break."""
    header_lines(headers)
    lowered = [(name.lower(), value.strip(b" \t")) for name, value in headers]
    return [pair for pair in lowered if pair[0] not in _OTHERS]


def scope_of(listener: Listener, ends: Ends, fields: Headers) -> Scope:
    """The scope of a request with these fields, the pseudo ones among them; raises ClientError."""
    pseudo = {name: value for name, value in fields if name[:1] == b":"}
    headers = [pair for pair in fields if pair[0][:1] != b":"]
    target, limits = pseudo.get(b":path", b""), listener.limits
    _examine(fields, target, limits)
    if pseudo[b":method"] == b"CONNECT":
        raise ClientError(501, "method", "the method is not for an origin server")
    if not (target[:1] == b"/" or (target == b"*" and pseudo[b":method"] == b"OPTIONS")) or b"#" in target:
        raise ClientError(400, "bad_target", "the request target is not a path")
    if not target.isascii() or not _METHOD.fullmatch(pseudo[b":method"]):
        raise ClientError(400, "malformed", "the request is malformed")
    if not is_host(pseudo[b":authority"]):
        raise ClientError(400, "bad_host", "the authority is not a host")
    headers = [(b"host", pseudo[b":authority"]), *(pair for pair in headers if pair[0] != b"host")]
    path, mark, query = target.partition(b"?")
    extensions: dict[str, object] = {"http.response.trailers": {}}
    if mark and not query:
        extensions["tidegate.bare_query"] = {}
    if ends.tls is not None:
        extensions["tls"] = ends.tls
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "3",
        "method": pseudo[b":method"].decode(),
        "scheme": "https",
        "path": decoded(path),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ends.client,
        "server": ends.server,
        "state": listener.state.copy(),
        "extensions": extensions,
    }


def _examine(fields: Headers, target: bytes, limits: Limits) -> None:
    if len(target) > limits.target:
        raise ClientError(414, "target_length", "the request target is too long")
    size = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in fields)
    if size > limits.header_bytes or len(fields) > limits.header_count:
        raise ClientError(431, "headers", "the headers are too large")
    if any(len(value) > limits.header_value for _, value in fields):
        raise ClientError(431, "headers", "a header is too long")


def refused(ends: Ends, fields: Headers) -> Scope:
    """As much of a scope as the access log needs of a request that was refused."""
    named = dict(fields)
    method = named.get(b":method", b"").decode("latin-1")
    return {**refused_scope(ends, method, named.get(b":path", b"")), "http_version": "3"}
