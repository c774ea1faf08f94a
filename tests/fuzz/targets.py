"""The four targets: a case in, nothing out, an AssertionError for what must not happen.

Each is its own small world, used by all cases one after the other: that the last one finds it as the first did is half
of what is shown. `requests` and `responses` go through the whole gateway, `frames` and `inflater` to an application.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import h11
from hypothesis import strategies as st

from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits
from gateway.wire.frame_parser import FrameError, parse_close
from gateway.wire.frames import BINARY, CLOSE, PONG, TEXT, split
from tests.fuzz import streams
from tests.fuzz.backends import Lies, Records
from tests.fuzz.streams import Case
from tests.fuzz.world import Backend, Hose, Visitor, World
from tests.wire.test_differential import by_h11, ours
from tests.wire.test_frame_parser import ENOUGH, LIMIT, as_websockets_reads_it, read_by_us
from tests.wire.wired import Answer, parse

_PROBE = b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n"
_NEXT = Case(_PROBE, (len(_PROBE),))
# Headers that the gateway adds to an answer.
_OURS = {b"date", b"via", b"connection", b"transfer-encoding", b"content-length"}


class Target(Protocol):
    """`run` may be called any number of times."""

    world: World

    def run(self, case: Case) -> None: ...


class RequestPath:
    """Whatever a client sends: what the backend gets is what was sent, and every answer is HTTP."""

    def __init__(self) -> None:
        self.records = Records()
        self.world = World(self.records.connect)

    def run(self, case: Case) -> None:
        outcome = self._talk(case)
        if case.sizes[0] < len(case.data):
            assert outcome == self._talk(case.whole), "what is meant depends on how it is cut"
        assert self._talk(_NEXT) == ([200], [(b"GET", b"/probe", b"")]), "the next client is not served"
        self.world.leftovers()

    def _talk(self, case: Case) -> tuple[list[int], list[tuple[bytes, bytes, bytes]]]:
        """Statuses, refusals being alike, and what the backend got: of two mistakes the first to be read is named."""
        records, data = self.records, case.data
        records.complete.clear()
        client = self.world.client()
        client.say(*case.pieces)
        assert client.line.reading or client.line.closing or client.line.eof, "a client waits for ever"
        client.leave(len(data) % 3)
        assert not records.wrong, records.wrong.pop()
        self._passed_on(data)
        return self._answered(client, data), [(got.method, got.target, got.body) for got in records.complete]

    def _passed_on(self, data: bytes) -> None:
        """The backend read some of the requests that were sent, in order, and nothing else."""
        sent = [one for one in ours(data, [len(data) or 1])[0] if one.ended]
        waiting = iter(sent)
        for got in self.records.complete:
            for one in waiting:
                head = one.head
                target = head.path + (b"?" + head.query if head.query or head.bare_query else b"")
                if (head.method.encode(), target, one.body) == (got.method, got.target, got.body):
                    break
            else:
                raise AssertionError(f"the backend got what nobody sent: {got}")
        theirs = by_h11(data)
        if theirs is not None and self.records.complete:
            first = self.records.complete[0]
            assert (first.method, first.body) == (theirs[0], theirs[2])

    def _answered(self, client: Visitor, data: bytes) -> list[int]:
        requests, _ = ours(data, [len(data) or 1])
        answers = answers_in(client.sent, [one.head.method for one in requests])
        assert len(answers) <= len(requests) + 1
        statuses = [answer.status if answer.status < 400 else 400 for answer in answers]
        assert statuses.count(200) == len(self.records.complete)
        return statuses


def answers_in(data: bytes, methods: list[str]) -> list[Answer]:
    """All answers to requests by these methods, and perhaps the refusal of what was none."""
    for last in ("GET", "HEAD"):
        for count in range(len(methods) + 2):
            asked = (*methods, last)[:count]
            try:
                return parse(data, tuple(asked), closed=True)
            except (AssertionError, h11.RemoteProtocolError):
                continue
    raise AssertionError(f"the answers are not HTTP: {data!r}")


class ResponsePath:
    """Whatever a backend answers to the method that the case begins with: the client gets that, or an error."""

    def __init__(self) -> None:
        self.lies = Lies()
        self.world = World(self.lies.connect)

    def run(self, case: Case) -> None:
        answer, whole = self._ask(case), self._ask(case.whole)
        if answer is not None and whole is not None:
            assert (answer.status, answer.body) == (whole.status, whole.body), "what is meant depends on how it is cut"
        self.world.leftovers()

    def _ask(self, case: Case) -> Answer | None:
        """The answer that was passed on whole. Others get their own answers."""
        self.lies.pieces, method = case.pieces, case.method
        client = self.world.client()
        body = b"Content-Length: 0\r\n" if method == b"POST" else b""
        client.say(b"%b /case HTTP/1.1\r\nHost: x\r\n%b\r\n" % (method, body))
        for hose in self.lies.told:
            if self.world.gateway.stats.routes["all"].in_flight:  # a client waits for more
                self.world.loop.call_soon(hose.hang_up)
                self.world.rest()
        self.lies.told.clear()
        answer = self._answered(client, method.decode(), case.data)
        client.leave(2)
        for _ in range(2):
            self._probe()
        return answer

    def _answered(self, client: Visitor, method: str, said: bytes) -> Answer | None:
        """A whole answer is what h11 reads where it can; else it is an error, or the connection ends in the middle."""
        try:
            answer = parse(client.sent, (method,), closed=client.line.closing and not client.line.aborted)[0]
        except (AssertionError, h11.RemoteProtocolError):
            assert client.line.aborted, f"neither whole nor broken off: {client.sent!r}"
            return None
        if answer[b"content-type"] == b"application/problem+json":
            assert answer.status == 502
            return None
        theirs = answer_by_h11(method, said)
        if theirs is not None:
            assert (answer.status, answer.body) == (theirs.status, theirs.body)
            names = {name.lower() for name, _ in theirs.headers}
            extra = {name.lower() for name, _ in answer.headers} - names - _OURS
            assert not extra, f"headers that nobody sent: {extra}"
        return answer

    def _probe(self) -> None:
        client = self.world.client()
        client.say(_PROBE)
        assert parse(client.sent, ("GET",), closed=False)[0].body == b"probe", "an answer is somebody else's"
        client.leave(2)


def answer_by_h11(method: str, data: bytes) -> Answer | None:
    """The answer as a whole, None when h11 refuses it."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    answer = Answer(0, [], b"", [], [])
    try:
        client.receive_data(data)
        client.receive_data(b"")
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                answer.status, answer.headers = event.status_code, event.headers.raw_items()
            elif isinstance(event, h11.Data):
                answer.body += bytes(event.data)
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
    return answer


_HELLO = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
_OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
_WINDOW = 12  # what is agreed on then


@dataclass
class WebSockets:
    """Whatever frames a client sends: the application gets what others read in them, and the client the right code."""

    window: int

    def __post_init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        limits = Limits(message=LIMIT, messages_per_second=ENOUGH, bytes_per_second=10**9)
        self.world = World(nobody, self._application, limits=limits)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "compression": bool(self.window)})
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            self.messages.append((TEXT, text.encode()) if text is not None else (BINARY, message["bytes"]))
            await send({"type": "websocket.send", "bytes": b"ok"})

    def run(self, case: Case) -> None:
        data = case.data
        as_websockets_reads_it(data, case.sizes[0], self.window)
        said, code = read_by_us(data, len(data) or 1, self.window)
        # of two mistakes in one message, which is met first depends on how it comes
        _, other = read_by_us(data, 1, self.window)
        self.messages.clear()
        client = self.world.client()
        client.say(_HELLO % (_OFFER if self.window else b""))
        head, _, _ = client.sent.partition(b"\r\n\r\n")
        assert re.match(rb"HTTP/1\.1 101 ", head)
        client.say(*case.pieces)
        closes = [payload for opcode, payload in split(client.sent[len(head) + 4 :]) if opcode == CLOSE]
        client.leave(len(data) % 3)
        assert self.messages == [each for each in said if each[0] in (TEXT, BINARY)]
        pongs = [payload for opcode, payload in split(client.sent[len(head) + 4 :]) if opcode == PONG]
        assert pongs == [payload for opcode, payload in said if opcode == 9]
        self._closed(closes, said, {code, other} - {0})
        self.world.leftovers()

    @staticmethod
    def _closed(closes: list[bytes], said: list[tuple[int, bytes]], codes: set[int]) -> None:
        """The close frame is the answer to the client's, or to its mistake."""
        theirs = [payload for opcode, payload in said if opcode == CLOSE]
        for payload in theirs:
            try:
                parse_close(payload)
            except FrameError as error:
                codes = {error.code}
        if codes:
            assert len(closes) == 1
            assert int.from_bytes(closes[0][:2]) in codes
        else:
            assert closes == [payload[:2] for payload in theirs]


def nobody(hose: Hose) -> Backend:
    raise AssertionError("the application asks no backend")


def frames() -> Target:
    return WebSockets(0)


def inflater() -> Target:
    return WebSockets(_WINDOW)


TARGETS: dict[str, tuple[Callable[[], Target], st.SearchStrategy[Case]]] = {
    "requests": (RequestPath, streams.requests),
    "responses": (ResponsePath, streams.responses),
    "frames": (frames, streams.frames),
    "inflater": (inflater, streams.compressed),
}
