from __future__ import annotations

import asyncio
import logging

import pytest
from websockets.frames import Opcode

from gateway.core.settings import Limits
from gateway.wire.deflate import framings
from gateway.wire.exchange import discard
from gateway.wire.frames import binary_frame, close_frame, ping_frame, pong_frame, text_frame
from gateway.wire.http1 import HIGH_WATER
from gateway.wire.websocket import WebSocket
from tests.wire.wired import MASK, Client, Play, begun, frame, settle

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    b"GET /ws?a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n\r\n"
)
OFFERS = UPGRADE.replace(
    b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


def text(data: str) -> bytes:
    return frame(Opcode.TEXT, data.encode())


def close(code: int, reason: str = "") -> bytes:
    return frame(Opcode.CLOSE, code.to_bytes(2) + reason.encode())


class Socket(Client):
    """A client that has asked for a WebSocket; `play.last` is the application's side."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.play = Play()
        super().__init__(self.play, limits)

    async def asks(self, early: bytes = b"", *, head: bytes = UPGRADE) -> Socket:
        await self.send(head + early)
        assert await self.play.last.receive() == {"type": "websocket.connect"}
        return self

    async def opens(self) -> Socket:
        await self.asks()
        await self.play.last.send({"type": "websocket.accept"})
        self.line.sent = b""
        return self

    @property
    def socket(self) -> WebSocket:
        assert isinstance(self.line.protocol, WebSocket)
        return self.line.protocol

    async def receive(self) -> dict[str, object]:
        return dict(await self.play.last.receive())

    async def ends(self) -> None:
        """The application returns, the client goes, and nothing is left."""
        await self.play.last.end()
        await self.drop()
        self.clean()


# The handshake.


async def test_the_scope_of_a_websocket() -> None:
    client = Socket()
    await client.send(UPGRADE)
    scope = client.play.last.scope
    extensions = scope.pop("extensions")
    headers = scope.pop("headers")
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"a",
        "root_path": "",
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.2", 80),
        "subprotocols": ["a", "b"],
        "state": {"from": "lifespan"},
    }
    assert (b"sec-websocket-key", KEY) in headers
    assert set(extensions) == {"tidegate.wire", "websocket.http.response"}
    assert (b"Sec-WebSocket-Key", KEY) in extensions["tidegate.wire"].raw_headers
    await client.drop()


async def test_accepting() -> None:
    client = await Socket().asks()
    await client.play.last.send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"Set-Cookie", b"c=d")]})
    assert client.line.sent == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: b\r\nSet-Cookie: c=d\r\n\r\n"
    )
    assert client.play.last.wire.raw_headers == []
    await client.ends()


async def test_messages_sent_with_the_handshake_wait() -> None:
    client = await Socket().asks(text("early"))
    assert not client.line.reading
    await client.play.last.send({"type": "websocket.accept"})
    assert client.line.reading
    assert await client.receive() == {"type": "websocket.receive", "text": "early"}
    await client.ends()


async def test_refusing_with_a_response() -> None:
    client = await Socket().asks()
    send = client.play.last.send
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"WWW-Authenticate", b"Bearer")]})
    await send({"type": "websocket.http.response.body", "body": b"log ", "more_body": True})
    assert client.line.sent == b""
    await send({"type": "websocket.http.response.body", "body": b"in"})
    answer = client.answer()
    assert (answer.status, answer.body) == (401, b"log in")
    assert answer[b"www-authenticate"] == b"Bearer"
    assert answer[b"content-length"] == b"6"
    assert answer[b"connection"] == b"close"
    assert answer[b"date"]
    assert client.line.closing
    assert (await client.receive())["type"] == "websocket.disconnect"
    await client.ends()


async def test_refusing_with_the_applications_own_length_and_date() -> None:
    client = await Socket().asks()
    headers = [(b"Content-Length", b"2"), (b"Date", b"then")]
    await client.play.last.send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
    await client.play.last.send({"type": "websocket.http.response.body", "body": b"no"})
    assert client.line.sent == (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nDate: then\r\nconnection: close\r\n\r\nno"
    )
    await client.ends()


async def test_closing_before_accepting_is_403() -> None:
    client = await Socket().asks()
    await client.play.last.send({"type": "websocket.close", "code": 4401})
    assert client.answer().status == 403
    assert client.line.closing
    await client.ends()


async def test_a_crash_before_accepting_is_500(caplog: pytest.LogCaptureFixture) -> None:
    client = await Socket().asks()
    await client.play.last.end(RuntimeError("a bug with details"))
    assert client.answer().status == 500
    assert b"a bug" not in client.line.sent
    (record,) = caplog.records
    assert record.name == "tidegate.wire"
    assert record.exc_info
    assert client.listener.stats.refused == {"internal": 1}
    client.clean()


async def test_returning_without_an_answer_is_500(caplog: pytest.LogCaptureFixture) -> None:
    client = await Socket().asks()
    await client.play.last.end()
    assert client.answer().status == 500
    assert "without an answer" in caplog.text
    client.clean()


async def test_a_client_that_leaves_before_the_answer() -> None:
    client = await Socket().asks()
    await client.drop()
    assert await client.receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    await client.play.last.send({"type": "websocket.accept"})
    assert client.line.sent == b""
    await client.play.last.end()
    client.clean()


async def test_messages_out_of_order() -> None:
    client = await Socket().asks()
    send = client.play.last.send
    with pytest.raises(RuntimeError, match=r"websocket\.send can't be sent now"):
        await send({"type": "websocket.send", "text": ""})
    await send({"type": "websocket.accept"})
    with pytest.raises(RuntimeError, match=r"websocket\.accept can't be sent now"):
        await send({"type": "websocket.accept"})
    with pytest.raises(RuntimeError, match=r"response\.start can't be sent now"):
        await send({"type": "websocket.http.response.start", "status": 400})
    await client.ends()


async def test_no_header_can_smuggle_another(caplog: pytest.LogCaptureFixture) -> None:
    client = await Socket().asks()
    with pytest.raises(ValueError, match="line break"):
        await client.play.last.send({"type": "websocket.accept", "headers": [(b"a", b"b\r\nc: d")]})
    assert client.line.sent == b""
    await client.play.last.end()
    assert client.answer().status == 500
    assert caplog.records


# Messages.


async def test_messages_both_ways() -> None:
    client = await Socket().opens()
    await client.send(text("né") + frame(Opcode.BINARY, b"\xff"))
    assert await client.receive() == {"type": "websocket.receive", "text": "né"}
    assert await client.receive() == {"type": "websocket.receive", "bytes": b"\xff"}
    await client.play.last.send({"type": "websocket.send", "text": "né"})
    await client.play.last.send({"type": "websocket.send", "bytes": b"\xff"})
    await client.play.last.send({"type": "websocket.send", "text": None, "bytes": b"x"})
    assert client.line.sent == text_frame("né".encode()) + binary_frame(b"\xff") + binary_frame(b"x")
    await client.ends()


async def test_receive_waits() -> None:
    client = await Socket().opens()
    receiving = begun(client.receive())
    await settle()
    with pytest.raises(RuntimeError, match="already being awaited"):
        await client.receive()
    receiving.cancel()
    await settle()
    await client.send(text("a"))
    assert (await client.receive())["text"] == "a"
    await client.ends()


async def test_a_message_that_comes_alone_is_heard_at_once() -> None:
    client = await Socket().opens()
    heard: list[str | bytes] = []
    takes = True

    def hear(payload: str | bytes) -> bool:
        heard.append(payload)
        return takes

    client.socket.hear = hear
    await client.send(text("nobody waits yet"))
    assert (await client.receive())["text"] == "nobody waits yet"
    waiting = asyncio.get_running_loop().create_task(client.receive())
    await settle()
    await client.send(text("alone"))
    assert heard == ["alone"]
    assert not waiting.done()
    takes = False
    await client.send(text("not now"))
    assert heard == ["alone", "not now"]
    assert (await waiting)["text"] == "not now"
    takes, waiting = True, asyncio.get_running_loop().create_task(client.receive())
    await settle()
    await client.send(text("one") + text("two"))
    assert (await waiting)["text"] == "one"
    assert (await client.receive())["text"] == "two"
    assert heard == ["alone", "not now"], "those that come together are for `receive`, in their order"
    waiting = asyncio.get_running_loop().create_task(client.receive())
    await client.send(close(1000))
    assert (await waiting)["type"] == "websocket.disconnect"
    assert client.socket.hear is None


async def test_reading_stops_while_the_application_is_slow() -> None:
    client = await Socket().opens()
    await client.send(b"".join(text(str(number)) for number in range(100)))
    assert not client.line.reading
    for number in range(100):
        assert (await client.receive())["text"] == str(number)
    assert client.line.reading
    await client.ends()


async def test_reading_stops_for_large_messages_sooner() -> None:
    client = await Socket().opens()
    await client.send(text("x" * 40_000))
    assert client.line.reading
    await client.send(text("y" * 40_000))
    assert not client.line.reading
    await client.receive()
    assert client.line.reading
    await client.ends()


async def test_pings_are_answered_unless_the_client_does_not_read() -> None:
    client = await Socket().opens()
    await client.send(frame(Opcode.PING, b"1") + frame(Opcode.PONG, b"?") + frame(Opcode.PING, b"2"))
    assert client.line.sent == pong_frame(b"1") + pong_frame(b"2")
    client.line.stalled = True
    client.play.last.wire.write(b"x" * (HIGH_WATER + 1))
    written = client.line.writes
    await client.send(frame(Opcode.PING, b"3"))
    assert client.line.writes == written
    await client.ends()


async def test_send_waits_for_a_slow_client() -> None:
    client = await Socket().opens()
    client.line.stalled = True
    sending = begun(client.play.last.send({"type": "websocket.send", "bytes": b"x" * (HIGH_WATER + 1)}))
    await settle()
    assert not sending.done()
    client.line.read_all()
    await sending
    await client.ends()


async def test_send_returns_when_the_client_leaves() -> None:
    client = await Socket().opens()
    client.line.stalled = True
    sending = begun(client.play.last.send({"type": "websocket.send", "bytes": b"x" * (HIGH_WATER + 1)}))
    await settle()
    await client.drop()
    await sending
    await client.play.last.send({"type": "websocket.send", "text": "ignored"})
    await client.play.last.end()
    client.clean()


# The end.


@pytest.mark.parametrize(
    ("said", "code", "reason", "echo"),
    [
        (close(1001, "away"), 1001, "away", close_frame(1001, "")),
        (close(4999), 4999, "", close_frame(4999, "")),
        (frame(Opcode.CLOSE), 1005, "", b"\x88\x00"),
    ],
)
async def test_the_client_closes(said: bytes, code: int, reason: str, echo: bytes) -> None:
    client = await Socket().opens()
    await client.send(text("last") + said + text("ignored"))
    assert client.line.sent == echo
    assert client.line.closing
    assert (await client.receive())["text"] == "last"
    for _ in range(2):
        assert await client.receive() == {"type": "websocket.disconnect", "code": code, "reason": reason}
    await client.ends()


async def test_the_client_is_lost() -> None:
    client = await Socket().opens()
    receiving = begun(client.receive())
    await client.drop()
    assert await receiving == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    await client.play.last.end()
    client.clean()


async def test_the_application_closes() -> None:
    client = await Socket().opens()
    await client.play.last.send({"type": "websocket.close", "code": 4403, "reason": "no"})
    assert client.line.sent == close_frame(4403, "no")
    assert not client.line.closing
    assert await client.receive() == {"type": "websocket.disconnect", "code": 4403, "reason": "no"}
    await client.send(text("ignored") + frame(Opcode.PING))
    assert not client.line.closing
    await client.send(close(4403))
    assert client.line.closing
    assert client.line.sent == close_frame(4403, "no")
    await client.ends()


async def test_the_application_returns() -> None:
    client = await Socket().opens()
    await client.play.last.end()
    assert client.line.sent == close_frame(1000, "")
    assert not client.listener.tasks
    await client.send(close(1000))
    client.clean()


async def test_a_crash_is_1011(caplog: pytest.LogCaptureFixture) -> None:
    client = await Socket().opens()
    await client.play.last.end(RuntimeError("a bug with details"))
    assert client.line.sent == close_frame(1011, "internal error")
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "tidegate.wire")
    await client.drop()
    client.clean()


async def test_a_client_that_does_not_answer_the_close() -> None:
    client = await Socket().opens()
    await client.play.last.end()
    await client.visits(1)
    assert not client.line.aborted
    await client.visits(1)
    assert client.line.aborted
    client.clean()


PROTOCOL_ERRORS = {
    b"\x81\x01x": (1002, "frame is not masked", "protocol_error"),
    frame(Opcode.TEXT, b"\xff"): (1007, "text is not UTF-8", "invalid_data"),
    frame(Opcode.BINARY, b"x" * 101): (1009, "message over 100 bytes", "too_big"),
    frame(Opcode.CLOSE, b"\x00\x01"): (1002, "invalid close code", "protocol_error"),
}


@pytest.mark.parametrize(("data", "error"), PROTOCOL_ERRORS.items(), ids=["unmasked", "text", "size", "close"])
async def test_a_client_that_breaks_the_protocol(
    data: bytes, error: tuple[int, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tidegate.wire")
    code, reason, label = error
    client = await Socket(Limits(message=100)).opens()
    await client.send(data)
    assert client.line.sent == close_frame(code, reason)
    assert client.line.eof
    assert not client.line.closing
    await client.send(b"more of it" * 100)
    assert await client.receive() == {"type": "websocket.disconnect", "code": code, "reason": reason, "label": label}
    assert caplog.messages == [f"closes the WebSocket of ('192.0.2.1', 4711): {code} {reason}"]
    await client.visits(2)
    assert client.line.aborted
    await client.play.last.end()
    client.clean()


async def test_what_came_before_the_error_is_answered_first() -> None:
    client = await Socket().opens()
    await client.send(text("1") + text("2") + b"\xff\xff" + text("3"))
    assert not client.line.reading
    for number in "12":
        assert (await client.receive())["text"] == number
        await client.play.last.send({"type": "websocket.send", "text": number})
    assert client.line.sent == text_frame(b"1") + text_frame(b"2")
    assert (await client.receive())["code"] == 1002
    assert client.line.sent.endswith(close_frame(1002, "reserved bit set"))
    assert client.line.eof
    assert client.line.reading
    await client.ends()


async def test_the_application_closes_before_it_comes_to_the_error() -> None:
    client = await Socket().opens()
    await client.send(text("1") + b"\xff\xff")
    client.play.last.wire.close(4400, "no")
    assert client.line.sent == close_frame(4400, "no")
    assert client.line.eof
    assert await client.receive() == {"type": "websocket.disconnect", "code": 4400, "reason": "no"}
    await client.ends()


async def test_tls_has_no_half_close() -> None:
    client = await Socket().opens()
    client.line.half_closes = False
    await client.send(b"\xff\xff")
    assert client.line.sent == close_frame(1002, "reserved bit set")
    assert client.line.closing
    await client.play.last.end()
    client.clean()


async def test_a_broken_answer_to_the_close() -> None:
    client = await Socket().opens()
    await client.play.last.end()
    await client.send(b"\xff\xff")
    assert client.line.closing
    client.clean()


async def test_what_waits_when_the_application_closes_is_dropped() -> None:
    client = await Socket().opens()
    await client.send(b"".join(text(str(number)) for number in range(100)) + close(1000))
    assert not client.line.reading
    await client.play.last.send({"type": "websocket.close"})
    assert (await client.receive())["type"] == "websocket.disconnect"
    assert client.line.closing  # the client's own close was among what waited
    await client.ends()


async def test_draining_leaves_websockets_to_the_application() -> None:
    client = await Socket().opens()
    client.socket.drain()
    await settle()
    assert client.line.sent == b""
    await client.ends()


async def test_a_task_that_is_cancelled_leaves_nothing() -> None:
    client = await Socket().opens()
    (task,) = client.listener.tasks
    task.cancel()
    await settle()
    assert client.line.aborted
    client.clean()


# Compression.


async def test_compression_is_agreed_on_when_both_want_it() -> None:
    client = await Socket().asks(head=OFFERS)
    await client.play.last.send({"type": "websocket.accept", "compression": True})
    assert (
        b"\r\nsec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
        b" client_max_window_bits=12\r\n" in client.line.sent
    )
    client.line.sent = b""
    await client.send(b"\xc1" + frame(Opcode.TEXT, bytes.fromhex("f248cdc9c90700"))[1:])
    assert (await client.receive())["text"] == "Hello"
    await client.play.last.send({"type": "websocket.send", "text": "Hello" * 100})
    assert client.line.sent == framings(15)["text"](b"Hello" * 100)
    assert len(client.line.sent) < 30
    assert client.play.last.wire.framing("text") is framings(15)["text"]
    await client.ends()


@pytest.mark.parametrize(("head", "wanted"), [(OFFERS, False), (UPGRADE, True)], ids=["client", "application"])
async def test_compression_that_one_side_wants(head: bytes, *, wanted: bool) -> None:
    client = await Socket().asks(head=head)
    await client.play.last.send({"type": "websocket.accept", "compression": wanted})
    assert b"extensions" not in client.line.sent
    assert client.play.last.wire.framing("text") is text_frame
    await client.send(b"\xc1\x80" + MASK)
    assert (await client.receive())["reason"] == "reserved bit set"
    await client.ends()


# tidegate.wire


async def test_ready_bytes() -> None:
    client = await Socket().opens()
    wire = client.play.last.wire
    assert wire.write == client.line.write
    assert wire.framing("text") is text_frame
    assert wire.framing("binary") is binary_frame
    wire.write(wire.framing("text")(b"a") + wire.framing("ping")(b""))
    assert client.line.sent == text_frame(b"a") + ping_frame(b"")
    assert wire.trailers == []
    wire.informational(103, [])
    assert client.line.sent == text_frame(b"a") + ping_frame(b"")
    await client.ends()


async def test_flow_is_told() -> None:
    client = await Socket().opens()
    told: list[str] = []
    wire = client.play.last.wire
    wire.on_flow(lambda: told.append("full"), lambda: told.append("drained"))
    client.line.stalled = True
    wire.write(b"x" * HIGH_WATER)
    assert (wire.full, wire.buffered, told) == (False, HIGH_WATER, [])
    wire.write(b"x")
    assert (wire.full, told) == (True, ["full"])
    client.line.read_all()
    assert (wire.full, wire.buffered, told) == (False, 0, ["full", "drained"])
    await client.ends()


async def test_the_writer_closes() -> None:
    client = await Socket().opens()
    wire = client.play.last.wire
    receiving = begun(client.receive())
    await settle()
    wire.close(4413, "too slow")
    assert client.line.sent == close_frame(4413, "too slow")
    assert await receiving == {"type": "websocket.disconnect", "code": 4413, "reason": "too slow"}
    assert wire.write is discard
    wire.write(b"ignored")
    wire.close(1000, "")
    assert client.line.sent == close_frame(4413, "too slow")
    assert wire.buffered == 0
    await client.ends()


async def test_writing_before_accepting_and_after_the_end_does_nothing() -> None:
    client = await Socket().asks()
    wire = client.play.last.wire
    wire.write(b"ignored")
    wire.close(1000, "")
    assert client.line.sent == b""
    await client.drop()
    wire.write(b"ignored")
    await client.play.last.end()
    client.clean()
