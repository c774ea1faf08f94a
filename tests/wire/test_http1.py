from __future__ import annotations

import asyncio
import gc

import pytest

from gateway.core.asgi import Message, Receive, Scope, Send
from gateway.core.settings import Limits
from gateway.wire.asgi import Ends
from gateway.wire.exchange import Exchange
from gateway.wire.head import Head
from gateway.wire.http1 import HIGH_WATER, Connection
from gateway.wire.http2_frames import PREFACE
from gateway.wire.listener import Listener
from gateway.wire.reader import RequestReader
from gateway.wire.websocket import WebSocket
from tests.wire.wired import Client, Line, Play, listener_for, responds, settle

LENGTH = [(b"content-length", b"2")]
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def get(path: bytes = b"/") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"


def post(size: int) -> bytes:
    return b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with path and body."""
    body = scope["path"].encode() + b":"
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def answer(play: Play, body: bytes = b"ok") -> None:
    await play.last.start(200, LENGTH)
    await play.last.body(body, more=False)
    await play.last.end()


# What the application is told.


async def test_the_scope_of_a_request() -> None:
    play = Play()
    client = Client(play)
    await client.send(b"GET /caf%C3%A9/%2F?a=%20b HTTP/1.1\r\nHost: x\r\nX-Y: Z\r\n\r\n")
    scope = play.last.scope
    extensions = scope.pop("extensions")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/café//",
        "raw_path": b"/caf%C3%A9/%2F",
        "query_string": b"a=%20b",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"x-y", b"Z")],
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.2", 80),
        "state": {"from": "lifespan"},
    }
    assert set(extensions) == {"tidegate.wire", "http.response.trailers"}
    assert extensions["tidegate.wire"].raw_headers == [(b"Host", b"x"), (b"X-Y", b"Z")]
    await play.last.end()


async def test_each_request_has_its_own_state() -> None:
    play = Play()
    client = Client(play)
    await client.send(get())
    play.last.scope["state"]["mine"] = True
    await answer(play)
    await client.send(get())
    assert play.last.scope["state"] == {"from": "lifespan"}
    await play.last.end()


# One request after the other.


async def test_requests_leave_nothing_for_the_collector() -> None:
    client = Client(responds(200, [], b"one", b"two"))
    await client.send(get())
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            await client.send(get())
        left = [item for item in gc.get_objects() if isinstance(item, Exchange | Head)]
    finally:
        gc.enable()
    assert [type(item) for item in left] == [Head], "the last one, because the next may repeat it"


async def test_a_connection_leaves_nothing_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        client = Client(responds())
        await client.send(get())
        await client.drop()
        client.clean()
        del client.line.protocol  # as a real transport does
        del client
        left = [item for item in gc.get_objects() if isinstance(item, Connection | RequestReader)]
    finally:
        gc.enable()
    assert left == []


async def test_a_connection_is_kept() -> None:
    client = Client(echo)
    await client.send(get(b"/a"))
    await client.send(get(b"/b"))
    assert [answer.body for answer in client.answers("GET", "GET")] == [b"/a:", b"/b:"]
    assert not client.line.closing


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    client = Client(echo)
    await client.send(get(b"/a") + post(3) + b"one" + get(b"/b") + post(3) + b"two")
    await settle()
    answers = client.answers("GET", "POST", "GET", "POST")
    assert [answer.body for answer in answers] == [b"/a:", b"/p:one", b"/b:", b"/p:two"]
    assert client.line.reading


async def test_requests_sent_ahead_wait_as_bytes() -> None:
    play = Play()
    client = Client(play)
    await client.send(get(b"/a") + get(b"/b"))
    assert len(play.exchanges) == 1
    assert not client.line.reading
    await answer(play)
    assert len(play.exchanges) == 2
    assert client.line.reading
    await answer(play)


async def test_a_request_that_comes_during_a_response_stops_reading() -> None:
    play = Play()
    client = Client(play)
    await client.send(get(b"/a"))
    assert client.line.reading
    await client.send(get(b"/b")[:10])
    assert not client.line.reading
    client.line.protocol.data_received(get(b"/b")[10:])  # a read that was under way
    await answer(play)
    assert play.last.scope["path"] == "/b"
    assert client.line.reading
    await answer(play)


async def test_many_requests_in_one_read() -> None:
    client = Client(echo)
    await client.send(get() * 200)
    for _ in range(200):
        await settle()
    assert len(client.answers(*["GET"] * 200)) == 200


async def test_the_next_request_waits_until_the_client_reads() -> None:
    client = Client(responds(200, [], b"x" * (HIGH_WATER + 1)))
    client.line.stalled = True
    await client.send(get() + get())
    written = client.line.writes
    await settle()
    assert client.line.writes == written == 1 + 1
    client.line.read_all()
    await settle()
    assert len(client.answers("GET", "GET")) == 2


async def test_a_chunked_request_and_another_in_one_read() -> None:
    client = Client(echo)
    chunked = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    await client.send(chunked + get(b"/b"))
    await settle()
    assert [answer.body for answer in client.answers("POST", "GET")] == [b"/c:hi", b"/b:"]


@pytest.mark.parametrize("upgrade", [b"h2c", b"TLS/1.0, foo"])
async def test_other_upgrades_are_ignored_and_their_bodies_read(upgrade: bytes) -> None:
    client = Client(echo)
    request = post(len(get())).replace(b"Host", b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\nHost")
    await client.send(request + get() + get(b"/b"))
    await settle()
    assert [answer.body for answer in client.answers("POST", "GET")] == [b"/p:" + get(), b"/b:"]


# A response before the request has ended.


async def test_the_small_rest_of_a_body_is_read_for_nothing() -> None:
    client = Client(responds(200, LENGTH, b"ok"))
    await client.send(post(5) + b"he")
    assert not client.line.closing
    await client.send(b"llo" + get())
    assert len(client.answers("POST", "GET")) == 2


async def test_the_large_rest_of_a_body_closes() -> None:
    client = Client(responds(413, LENGTH, b"no"))
    await client.send(post(10_000_000) + b"x" * 1000)
    assert client.answer("POST")[b"connection"] == b"close"
    assert client.line.eof
    assert not client.line.closing
    await client.send(b"x" * 1000)  # so that no reset takes the answer away
    await client.visits(2)
    assert client.line.aborted
    client.clean()


async def test_a_chunked_rest_closes() -> None:
    client = Client(responds(413, LENGTH, b"no"))
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    assert client.answer("POST")[b"connection"] == b"close"
    assert client.line.eof


async def test_a_stream_that_ends_before_its_request_closes() -> None:
    client = Client(responds(200, [], b"one", b"two"))
    await client.send(post(10_000_000))
    assert client.answer("POST").body == b"onetwo"
    assert client.line.eof


async def test_a_paused_rest_is_read_on() -> None:
    play = Play()
    client = Client(play)
    await client.send(post(HIGH_WATER + 2) + b"x" * (HIGH_WATER + 1))
    assert not client.line.reading
    await answer(play)
    await client.send(b"x" + get())
    assert len(play.exchanges) == 2
    await play.last.end()


# Refusals.


async def refused(data: bytes, limits: Limits | None = None) -> Client:
    play = Play()
    client = Client(play, limits)
    await client.send(data)
    assert not play.exchanges
    assert client.line.eof
    return client


REFUSALS = {
    b"hello\r\n\r\n": (400, "malformed", "", ""),
    b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n": (501, "method", "", ""),
    b"GET /a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n": (400, "malformed", "GET", "/a"),
    b"GET /a HTTP/1.1\r\n\r\n": (400, "bad_host", "GET", "/a"),
    b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n": (505, "http_version", "GET", "/a"),
    b"GET /a?b HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n": (417, "expectation", "GET", "/a"),
    b"GET /" + b"a" * 70_000: (414, "target_length", "GET", "/" + "a" * 1023),
    b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n": (431, "headers", "GET", "/a"),
    UPGRADE.replace(b"13", b"8"): (426, "bad_upgrade", "GET", "/ws"),
    UPGRADE.replace(b"Connection: Upgrade\r\n", b""): (400, "bad_upgrade", "GET", "/ws"),
}


@pytest.mark.parametrize(("data", "error"), REFUSALS.items(), ids=lambda it: it[1] if isinstance(it, tuple) else "")
async def test_what_is_no_request_is_answered_and_closed(data: bytes, error: tuple[int, str, str, str]) -> None:
    status, code, method, path = error
    client = await refused(data)
    assert client.answer().status == status
    assert client.answer()[b"content-type"] == b"application/problem+json"
    assert client.answer()[b"connection"] == b"close"
    assert client.listener.stats.refused == {code: 1}
    assert client.log.requests == [(method, path, status)]


async def test_the_version_of_websocket_is_told() -> None:
    client = await refused(UPGRADE.replace(b"13", b"8"))
    assert client.answer()[b"sec-websocket-version"] == b"13"


async def test_a_refused_head_request_has_no_body() -> None:
    client = await refused(b"HEAD / HTTP/1.1\r\n\r\n")
    assert client.line.sent.endswith(b"\r\n\r\n")


async def test_requests_before_the_bad_one_are_answered() -> None:
    client = Client(echo)
    await client.send(get(b"/a") + b"nonsense\r\n\r\n")
    await settle()
    assert [answer.status for answer in client.answers("GET", "GET")] == [200, 400]


async def test_a_body_that_goes_wrong_before_the_response() -> None:
    play = Play()
    client = Client(play)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
    assert client.answer("POST").status == 400
    assert await play.last.receive() == {"type": "http.disconnect"}
    await answer(play)
    assert client.answer("POST").status == 400


async def test_a_body_that_goes_wrong_inside_of_the_response() -> None:
    play = Play()
    client = Client(play)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await play.last.start()
    await play.last.body(b"one")
    await client.send(b"x\r\n")
    assert client.line.aborted
    await play.last.end()
    client.clean()


async def test_too_many_connections() -> None:
    listener = listener_for(echo, Limits(connections=1))
    first = Client(echo, listener=listener)
    second = Client(echo, listener=listener)
    await settle()
    assert second.answer().status == 503
    assert second.answer()[b"retry-after"] == b"1"
    assert listener.stats.refused == {"connections": 1}
    await first.send(get())
    assert first.answer().status == 200
    await second.drop()
    third = Client(echo, listener=listener)
    await first.drop()
    await third.drop()
    first.clean()


# The client leaves.


async def test_a_client_that_leaves_between_requests() -> None:
    client = Client(echo)
    await client.send(get())
    await client.drop()
    client.clean()


async def test_a_client_that_leaves_during_a_request() -> None:
    play = Play()
    client = Client(play)
    await client.send(get())
    await client.drop()
    assert await play.last.receive() == {"type": "http.disconnect"}
    await answer(play)
    assert client.line.sent == b""
    client.clean()


async def test_a_client_that_leaves_in_a_head() -> None:
    client = Client(echo)
    await client.send(b"GET / HT")
    await client.drop()
    client.clean()


# Deadlines: visits are 5 seconds apart.


async def test_a_client_that_says_nothing() -> None:
    client = Client(echo)
    await client.visits(6)
    assert not client.line.closing
    await client.visits(1)
    assert client.line.closing
    assert client.line.sent == b""
    client.clean()


async def test_a_head_that_does_not_end() -> None:
    client = Client(echo)
    await client.send(b"GET /a HTTP/1.1\r\n")
    for _ in range(6):
        await client.send(b"A: b\r\n")  # slowly, but never silent
        await client.visits(1)
    assert client.line.sent == b""
    await client.visits(1)
    assert client.answer().status == 408
    assert client.listener.stats.refused == {"head_timeout": 1}
    await client.visits(2)
    client.clean()


async def test_an_idle_connection() -> None:
    client = Client(echo)
    await client.send(get())
    await client.visits(15)
    assert not client.line.closing
    await client.visits(1)
    assert client.line.closing
    client.clean()


async def test_a_head_after_idling_has_its_whole_time() -> None:
    client = Client(echo)
    await client.send(get())
    await client.visits(14)
    await client.send(b"GET / ")
    await client.visits(6)
    assert not client.line.eof
    await client.visits(1)
    assert client.answers("GET", "GET")[1].status == 408


async def test_a_response_may_take_its_time() -> None:
    play = Play()
    client = Client(play)
    await client.send(get())
    await client.visits(1000)
    await answer(play)
    assert client.answer().status == 200


async def test_a_body_that_stalls() -> None:
    play = Play()
    client = Client(play)
    await client.send(post(5) + b"he")
    await client.visits(12)
    await client.send(b"l")  # which is no pace
    assert client.line.sent == b""
    await client.visits(1)
    assert client.answer("POST").status == 408
    assert client.listener.stats.refused == {"stalled": 1}
    assert await play.last.receive() == {"type": "http.disconnect"}
    await play.last.end()


async def test_a_body_at_the_least_pace() -> None:
    play = Play()
    client = Client(play, Limits(body_rate=10, stall_time=10))
    await client.send(post(100_000))
    for _ in range(100):
        await client.send(b"x" * 50)  # 10 bytes a second
        await client.visits(1)
    assert client.line.sent == b""
    for _ in range(4):
        await client.send(b"x" * 25)
        await client.visits(1)
    assert client.line.sent == b"", "a while of half the pace is allowed for"
    for _ in range(3):
        await client.send(b"x" * 25)
        await client.visits(1)
    assert client.answer("POST").status == 408
    await play.last.end()


async def test_a_body_that_the_application_does_not_take_is_not_slow() -> None:
    play = Play()
    client = Client(play)
    await client.send(post(1_000_000) + b"x" * (HIGH_WATER + 1))
    assert not client.line.reading
    await client.visits(100)
    assert (await play.last.receive())["type"] == "http.request"
    await client.visits(12)
    assert client.line.sent == b"", "its time begins when it may send again"
    await client.visits(1)
    assert client.answer("POST").status == 408
    await play.last.end()


async def test_deadlines_are_configured() -> None:
    limits = Limits(head_time=10, idle_time=20)
    client = Client(echo, limits)
    await client.send(b"GET / HT")
    await client.visits(2)
    assert client.line.sent == b""
    await client.visits(1)
    assert client.answer().status == 408
    client = Client(echo, limits)
    await client.send(get())
    await client.visits(4)
    assert not client.line.closing
    await client.visits(1)
    assert client.line.closing


async def test_a_connection_ends_with_an_answer_when_it_is_old() -> None:
    client = Client(echo, Limits(connection_time=10))
    await client.send(get())
    await client.visits(2)
    await client.send(get())
    assert not client.line.closing
    await client.visits(1)
    await client.send(get())
    answers = client.answers("GET", "GET", "GET")
    assert [answer[b"connection"] for answer in answers] == [None, None, b"close"]
    assert client.line.closing


# A client that has sent its end.


async def test_who_half_closes_is_answered() -> None:
    play = Play()
    client = Client(play)
    await client.send(get())
    assert client.connection.eof_received() is True
    await answer(play)
    assert client.answer().status == 200
    assert client.answer()[b"connection"] == b"close"
    assert client.line.closing


async def test_who_half_closes_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wire.http1._HALF_CLOSED", 0.0)
    play = Play()
    client = Client(play)
    await client.send(get())
    assert client.connection.eof_received() is True
    await settle()
    assert await play.last.receive() == {"type": "http.disconnect"}
    assert client.line.aborted
    await play.last.end()


async def test_a_stream_that_has_begun_outlives_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wire.http1._HALF_CLOSED", 0.0)
    play = Play()
    client = Client(play)
    await client.send(get())
    client.connection.eof_received()
    await play.last.start()
    await play.last.body(b"one")
    await settle()
    assert not client.line.aborted
    await play.last.body(b"two", more=False)
    assert client.answer().body == b"onetwo"
    await play.last.end()


async def test_an_end_between_or_inside_of_requests_is_the_end() -> None:
    play = Play()
    client = Client(play)
    assert not client.connection.eof_received()
    await client.send(post(5) + b"he")
    assert not client.connection.eof_received(), "a body that will never be whole"
    client = Client(play)
    await client.send(get())
    await play.last.start()
    await play.last.body(b"one")
    assert not client.connection.eof_received(), "a client of a stream has left"
    client = Client(play)
    client.line.half_closes = False
    await client.send(get())
    assert not client.connection.eof_received(), "TLS does not know it"
    for call in play.exchanges:
        await call.end()


# Many slow clients beside one that is not.


@pytest.mark.parametrize("kind", ["half a head", "half a body", "reads nothing"])
async def test_slow_clients_leave_others_served(kind: str) -> None:
    listener = listener_for(slow, Limits(connections_per_ip=10_000))
    sent = {"half a head": get()[:20], "half a body": post(9) + b"x", "reads nothing": get(b"/large")}[kind]
    crowd = []
    for _ in range(2000):
        client = Client(slow, listener=listener)
        client.line.stalled = True
        client.line.protocol.data_received(sent)
        crowd.append(client)
    await settle()
    other = Client(slow, listener=listener)
    await other.send(get())
    assert other.answer().body == b"ok"
    for _ in range(15):
        for member in listener.sweep.members():
            member.visit()
    await settle()
    assert all(client.line.eof or client.line.aborted for client in crowd)
    await other.drop()
    for _ in range(20):
        for member in listener.sweep.members():
            member.visit()
    await settle()
    other.clean()


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the request, and answers with much or little."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    if message["type"] != "http.request":
        return
    body = b"x" * (2 * HIGH_WATER) if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def test_a_client_that_waits_for_continue_does_not_stall() -> None:
    play = Play()
    client = Client(play)
    await client.send(post(5).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    await client.visits(100)
    assert client.line.sent == b""
    await answer(play)


async def test_a_client_that_stops_reading() -> None:
    client = Client(responds(200, [], b"x" * (HIGH_WATER + 1), b"more"))
    client.line.stalled = True
    await client.send(get())
    await client.visits(12)
    assert not client.line.aborted
    await client.visits(1)
    assert client.line.aborted
    assert client.listener.stats.refused == {"stalled": 1}
    client.clean()


async def test_a_client_that_never_reads_its_last_response() -> None:
    client = Client(responds(200, [(b"connection", b"close")], b"bye"))
    client.line.stalled = True
    await client.send(get())
    await client.visits(12)
    assert not client.line.aborted
    await client.visits(1)
    client.clean()


# The end of the server.


async def test_draining_closes_what_is_idle() -> None:
    client = Client(echo)
    await client.send(get())
    client.connection.drain()
    await settle()
    client.clean()


async def test_draining_lets_a_request_end() -> None:
    play = Play()
    client = Client(play)
    await client.send(get())
    client.listener.closing = True
    client.connection.drain()
    await answer(play)
    assert client.answer()[b"connection"] == b"close"
    client.clean()


async def test_a_task_that_is_cancelled_leaves_nothing() -> None:
    play = Play()
    client = Client(play)
    await client.send(get())
    (task,) = client.listener.tasks
    task.cancel()
    await settle()
    assert client.line.aborted
    client.clean()


# Handing over.


def handing_over(taken: list[bytes]) -> Listener:
    listener = listener_for(echo)

    def take(listener: Listener, transport: asyncio.Transport, data: bytes, ends: Ends) -> None:
        taken.append(data)

    listener.http2 = take
    return listener


@pytest.mark.parametrize("cut", [1, 3, 20, len(PREFACE), len(PREFACE) + 4])
async def test_a_preface_of_http2(cut: int) -> None:
    taken: list[bytes] = []
    client = Client(echo, listener=handing_over(taken))
    data = PREFACE + b"frames"
    await client.send(data[:cut])
    assert (taken == []) is (cut < len(PREFACE))
    if not taken:
        await client.send(data[cut:])
    assert b"".join(taken) == data[: max(cut, len(data) if cut < len(PREFACE) else cut)]
    assert client.line.sent == b""


@pytest.mark.parametrize("request_line", [b"POST / HTTP/1.1", b"PUT / HTTP/1.1", b"PROPFIND / HTTP/1.1"])
async def test_what_begins_like_a_preface(request_line: bytes) -> None:
    client = Client(echo, listener=handing_over([]))
    data = request_line + b"\r\nHost: x\r\n\r\n"
    await client.send(data[:1], data[1:2], data[2:])
    assert client.answer("POST").status == 200


async def test_a_preface_later_is_no_request() -> None:
    client = Client(echo)
    await client.send(get() + PREFACE)
    await settle()
    assert client.answers("GET", "GET")[1].status == 400


async def test_alpn_hands_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wire.asgi.extension", lambda tls: {})

    class Tls:
        def selected_alpn_protocol(self) -> str:
            return "h2"

    taken: list[bytes] = []
    client = Client.__new__(Client)
    client.listener = handing_over(taken)
    client.line = Line()
    client.line.extra["ssl_object"] = Tls()
    client.connection = Connection(client.listener)
    client.connection.connection_made(client.line)
    assert taken == [b""]


async def test_a_websocket_takes_over() -> None:
    play = Play()
    client = Client(play)
    await client.send(UPGRADE + b"\x81\x80abcd")
    assert isinstance(client.line.protocol, WebSocket)
    assert play.last.scope["type"] == "websocket"
    await play.last.receive()
    await play.last.send({"type": "websocket.accept"})
    assert await play.last.receive() == {"type": "websocket.receive", "text": ""}
    await client.drop()
    await play.last.end()
    client.clean()


async def test_a_websocket_after_a_request() -> None:
    play = Play()
    client = Client(play)
    await client.send(get() + UPGRADE)
    assert not client.line.reading
    await answer(play)
    assert client.line.reading
    assert isinstance(client.line.protocol, WebSocket)
    await client.drop()
    await play.last.end()
    client.clean()
