from __future__ import annotations

import logging

import pytest

from gateway.core.asgi import Headers
from gateway.errors import UpstreamProtocolError
from gateway.wire.exchange import discard
from gateway.wire.http1 import HIGH_WATER
from gateway.wire.response import chunk, identity
from tests.wire.wired import Client, Play, begun, responds, settle

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
LENGTH: Headers = [(b"content-length", b"5")]


async def answered(request: bytes, status: int = 200, headers: Headers | None = None, *body: bytes) -> Client:
    client = Client(responds(status, headers, *body))
    await client.send(request)
    return client


async def playing(request: bytes = GET) -> tuple[Client, Play]:
    play = Play()
    client = Client(play)
    await client.send(request)
    return client, play


# Framing.


async def test_a_small_response_is_one_write_with_the_applications_own_bytes() -> None:
    headers = [(b"X-MiXeD", b"caf\xe9"), (b"Content-Length", b"5"), (b"x-mixed", b"2"), (b"Date", b"then")]
    client = await answered(GET, 200, headers, b"hello")
    assert client.line.sent == (
        b"HTTP/1.1 200 OK\r\nX-MiXeD: caf\xe9\r\nContent-Length: 5\r\nx-mixed: 2\r\nDate: then\r\n\r\nhello"
    )
    assert client.line.writes == 1
    assert not client.line.closing


async def test_a_date_is_added_where_there_is_none() -> None:
    client = await answered(GET, 200, LENGTH, b"hello")
    assert b"date: " + (client.answer()[b"date"] or b"") + b"\r\n" == client.listener.sweep.date


async def test_a_body_of_unknown_length_is_chunked() -> None:
    client = await answered(GET, 200, [], b"one", b"", b"two")
    answer = client.answer()
    assert answer.body == b"onetwo"
    assert answer[b"transfer-encoding"] == b"chunked"
    assert b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" in client.line.sent
    assert not client.line.closing


async def test_no_body_is_an_empty_chunked_one() -> None:
    client = await answered(GET)
    assert client.line.sent.endswith(b"\r\n\r\n0\r\n\r\n")


async def test_an_old_client_reads_until_the_end() -> None:
    client = await answered(OLD, 200, [], b"one", b"two")
    assert client.answer().body == b"onetwo"
    assert client.answer()[b"transfer-encoding"] is None
    assert client.answer()[b"connection"] == b"close"
    assert client.line.closing


async def test_an_old_client_that_wants_to_stay() -> None:
    client = await answered(OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), 200, LENGTH, b"hello")
    assert client.answer()[b"connection"] == b"keep-alive"
    assert not client.line.closing


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(status: int) -> None:
    client = await answered(GET, status, [(b"ETag", b"x")], b"not sent")
    assert client.line.sent.endswith(b"\r\n\r\n")
    assert client.answer()[b"transfer-encoding"] is None
    assert not client.line.closing


@pytest.mark.parametrize("headers", [[], LENGTH])
async def test_head_has_the_headers_and_no_body(headers: Headers) -> None:
    client = await answered(GET.replace(b"GET", b"HEAD"), 200, headers, b"hello")
    assert client.line.sent.endswith(b"\r\n\r\n")
    assert client.answer("HEAD").status == 200
    assert not client.line.closing


async def test_a_length_of_the_representation_in_304() -> None:
    client = await answered(GET, 304, LENGTH)
    assert client.answer()[b"content-length"] == b"5"
    assert not client.line.closing


async def test_close_is_the_applications_word() -> None:
    client = await answered(GET, 200, [*LENGTH, (b"Connection", b"close")], b"hello")
    assert client.answer()[b"connection"] == b"close"
    assert client.line.closing


async def test_close_is_the_clients_word() -> None:
    client = await answered(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 200, LENGTH, b"hello")
    assert client.answer()[b"connection"] == b"close"
    assert client.line.closing


async def test_a_large_body_is_not_copied() -> None:
    client = await answered(GET, 200, [(b"content-length", b"100000")], b"x" * 100_000)
    assert len(client.answer().body) == 100_000
    assert client.line.writes == 2


# Mistakes of the application.


async def failing(caplog: pytest.LogCaptureFixture, client: Client) -> str:
    (record,) = [record for record in caplog.records if record.name == "tidegate.wire"]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert not client.listener.tasks
    return str(record.exc_info[1])


async def test_a_body_longer_than_its_length(caplog: pytest.LogCaptureFixture) -> None:
    client = await answered(GET, 200, LENGTH, b"hello", b"!")
    assert client.line.aborted
    assert client.line.sent.endswith(b"hello")
    assert "longer than its content-length" in await failing(caplog, client)


async def test_a_body_shorter_than_its_length(caplog: pytest.LogCaptureFixture) -> None:
    client = await answered(GET, 200, LENGTH, b"hell")
    assert client.line.aborted
    assert "shorter than its content-length" in await failing(caplog, client)


async def test_a_crash_before_the_response(caplog: pytest.LogCaptureFixture) -> None:
    client, play = await playing()
    await play.last.start(200, LENGTH)  # held, so it can still be replaced
    await play.last.end(RuntimeError("a bug with details"))
    assert client.answer().status == 500
    assert client.answer()[b"content-type"] == b"application/problem+json"
    assert b"a bug" not in client.line.sent
    assert client.listener.stats.refused == {"internal": 1}
    assert client.log.requests == [("GET", "/", 500)]
    assert await failing(caplog, client) == "a bug with details"


async def test_a_crash_inside_of_the_response(caplog: pytest.LogCaptureFixture) -> None:
    client, play = await playing()
    await play.last.start()
    await play.last.body(b"one")
    await play.last.end(RuntimeError("a bug"))
    assert client.line.aborted
    assert not client.line.sent.endswith(b"0\r\n\r\n")
    await failing(caplog, client)


async def test_a_response_that_can_not_be_completed(caplog: pytest.LogCaptureFixture) -> None:
    client, play = await playing()
    await play.last.start()
    await play.last.body(b"half of")
    await play.last.end(UpstreamProtocolError("the other half did not come"))
    assert client.line.aborted
    assert not caplog.records


async def test_returning_without_a_response(caplog: pytest.LogCaptureFixture) -> None:
    client, play = await playing()
    await play.last.end()
    assert client.answer().status == 500
    assert "before its response was complete" in await failing(caplog, client)


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x\n", b""), (b"content-length", b"five"), (b"x", b"\0")])
async def test_headers_that_may_not_be_sent(header: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture) -> None:
    client = await answered(GET, 200, [header])
    assert client.answer().status == 500
    await failing(caplog, client)


@pytest.mark.parametrize("status", [100, 101, 199, 0, 1000])
async def test_a_status_that_is_none(status: int, caplog: pytest.LogCaptureFixture) -> None:
    client = await answered(GET, status)
    assert client.answer().status == 500
    await failing(caplog, client)


async def test_messages_out_of_order() -> None:
    _, play = await playing()
    call = play.last
    with pytest.raises(RuntimeError, match=r"http\.response\.body can't be sent now"):
        await call.body(b"")
    await call.start()
    with pytest.raises(RuntimeError, match=r"http\.response\.start can't be sent now"):
        await call.start()
    with pytest.raises(RuntimeError, match=r"websocket\.send can't be sent now"):
        await call.send({"type": "websocket.send"})
    await call.body(b"", more=False)
    with pytest.raises(RuntimeError, match="can't be sent now"):
        await call.body(b"more")
    await call.end()


# The request's body.


async def test_a_request_without_a_body() -> None:
    client, play = await playing()
    call = play.last
    assert await call.receive() == {"type": "http.request", "body": b"", "more_body": False}
    waiting = begun(call.receive())
    await settle()
    assert not waiting.done()
    await client.drop()
    assert await waiting == {"type": "http.disconnect"}
    await call.end()
    client.clean()


async def test_a_body_in_pieces() -> None:
    client, play = await playing(POST)
    call = play.last
    await client.send(b"he")
    assert await call.receive() == {"type": "http.request", "body": b"he", "more_body": True}
    await client.send(b"l", b"lo")
    assert await call.receive() == {"type": "http.request", "body": b"llo", "more_body": False}
    await call.start()
    await call.body(b"", more=False)
    assert await call.receive() == {"type": "http.disconnect"}
    await call.end()
    assert not client.line.closing


async def test_trailers_of_a_request() -> None:
    client, play = await playing(CHUNKED)
    call = play.last
    assert call.wire.trailers == []
    await client.send(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert await call.receive() == {"type": "http.request", "body": b"hi", "more_body": False}
    assert call.wire.trailers == [(b"X-Sum", b"1")]
    await call.end()


async def test_reading_stops_while_the_application_is_slow() -> None:
    client, play = await playing(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    await client.send(b"x" * HIGH_WATER)
    assert client.line.reading
    await client.send(b"x")
    assert not client.line.reading
    message = await play.last.receive()
    assert len(message["body"]) == HIGH_WATER + 1
    assert client.line.reading
    await play.last.end()


async def test_two_may_wait_for_the_request() -> None:
    client, play = await playing(POST)
    waiting = [begun(play.last.receive()) for _ in range(2)]
    await settle()
    waiting[0].cancel()
    await client.send(b"hello")
    assert (await waiting[1])["body"] == b"hello"
    await play.last.end()


# Interim responses.


async def test_continue_is_sent_when_the_body_is_wanted() -> None:
    client, play = await playing(EXPECT)
    assert client.line.sent == b""
    waiting = begun(play.last.receive())
    await settle()
    assert client.line.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"hello")
    assert (await waiting)["body"] == b"hello"
    await play.last.start(200, LENGTH)
    await play.last.body(b"hello", more=False)
    await settle()
    assert client.answer().informational == [(100, [])]
    assert not client.line.closing
    await play.last.end()


async def test_continue_is_not_sent_when_the_body_is_here() -> None:
    client, play = await playing(EXPECT + b"hello")
    assert (await play.last.receive())["body"] == b"hello"
    assert client.line.sent == b""
    await play.last.end()


async def test_continue_is_not_sent_twice() -> None:
    client, play = await playing(EXPECT)
    play.last.wire.informational(100, [])
    waiting = begun(play.last.receive())
    await settle()
    assert client.line.sent.count(b"100 Continue") == 1
    await client.drop()
    await waiting
    await play.last.end()


async def test_a_final_answer_instead_of_continue_closes() -> None:
    client = await answered(EXPECT, 413, LENGTH, b"large")
    assert client.answer().status == 413
    assert client.answer()[b"connection"] == b"close"
    assert client.line.eof


async def test_interim_responses() -> None:
    client, play = await playing()
    wire = play.last.wire
    wire.informational(103, [(b"Link", b"</a.css>")])
    await play.last.start(200, LENGTH)
    wire.informational(102, [])
    await play.last.body(b"hello", more=False)
    wire.informational(103, [])
    await settle()
    assert client.answer().informational == [(103, [(b"Link", b"</a.css>")]), (102, [])]
    await play.last.end()


async def test_an_old_client_gets_no_interim_response() -> None:
    client, play = await playing(OLD)
    play.last.wire.informational(103, [])
    assert client.line.sent == b""
    await play.last.end()


@pytest.mark.parametrize("status", [101, 200, 99])
async def test_an_interim_status_that_is_none(status: int) -> None:
    _, play = await playing()
    with pytest.raises(ValueError, match="interim"):
        play.last.wire.informational(status, [])
    await play.last.end()


# Trailers of the response.


async def trailed(client: Client, play: Play) -> None:
    await play.last.start(200, [], trailers=True)
    await play.last.body(b"hi", more=False)
    await play.last.send({"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")], "more_trailers": True})
    assert play.last.wire.phase < 4
    await play.last.send({"type": "http.response.trailers", "headers": [(b"X-More", b"2")]})
    await play.last.end()


async def test_trailers_of_a_response() -> None:
    client, play = await playing()
    await trailed(client, play)
    assert client.answer().trailers == [(b"X-Sum", b"1"), (b"X-More", b"2")]
    assert not client.line.closing


async def test_an_old_client_gets_no_trailers() -> None:
    client, play = await playing(OLD)
    await trailed(client, play)
    assert client.line.sent.endswith(b"\r\n\r\nhi")


# Flow, and the end of the client.


async def test_send_waits_for_a_slow_client() -> None:
    client, play = await playing()
    client.line.stalled = True
    await play.last.start()
    sending = begun(play.last.body(b"x" * (HIGH_WATER + 1)))
    await settle()
    assert not sending.done()
    client.line.read_all()
    await sending
    await play.last.end()


async def test_send_returns_when_the_client_leaves() -> None:
    client, play = await playing()
    client.line.stalled = True
    await play.last.start()
    sending = begun(play.last.body(b"x" * (HIGH_WATER + 1)))
    await settle()
    await client.drop()
    await sending
    await play.last.body(b"more")
    await play.last.body(b"", more=False)
    assert await play.last.receive() == {"type": "http.disconnect"}
    await play.last.end()
    client.clean()


async def test_a_client_that_leaves_takes_its_unread_body_along() -> None:
    client, play = await playing(POST + b"he")
    await client.drop()
    assert await play.last.receive() == {"type": "http.disconnect"}
    await play.last.end()
    client.clean()


# tidegate.wire


async def test_ready_bytes_follow_the_head() -> None:
    client, play = await playing()
    call = play.last
    await call.start(200, [(b"content-type", b"text/event-stream")])
    assert client.line.sent == b""
    framing = call.wire.framing("body")
    assert framing is chunk
    assert client.line.sent.endswith(b"\r\n\r\n")
    call.wire.write(framing(b"one") + framing(b"two"))
    call.wire.close(1000, "")
    assert client.answer().body == b"onetwo"
    assert await call.receive() == {"type": "http.disconnect"}
    call.wire.write(b"ignored")
    call.wire.close(1000, "")
    await call.end()
    assert client.answer().body == b"onetwo"
    assert not client.line.closing


async def test_writing_first_sends_the_head_too() -> None:
    client, play = await playing()
    await play.last.start()
    write = play.last.wire.write
    write(chunk(b"one"))
    write(chunk(b"two"))
    play.last.wire.close(1000, "")
    assert client.answer().body == b"onetwo"
    await play.last.end()


async def test_after_the_head_write_is_the_transports_own() -> None:
    client, play = await playing()
    assert play.last.wire.write is discard
    await play.last.start()
    play.last.wire.framing("body")
    assert play.last.wire.write == client.line.write
    await client.drop()
    assert play.last.wire.write is discard
    await play.last.end()


async def test_ready_bytes_for_an_old_client() -> None:
    client, play = await playing(OLD)
    await play.last.start()
    framing = play.last.wire.framing("body")
    assert framing is identity
    play.last.wire.write(framing(b"one"))
    play.last.wire.close(1000, "")
    assert client.answer().body == b"one"
    assert client.line.closing
    await play.last.end()


async def test_ready_bytes_for_a_head_request() -> None:
    client, play = await playing(GET.replace(b"GET", b"HEAD"))
    await play.last.start()
    play.last.wire.write(play.last.wire.framing("body")(b"one"))
    play.last.wire.close(1000, "")
    assert client.line.sent.endswith(b"\r\n\r\n")
    assert not client.line.closing
    await play.last.end()


async def test_other_framings_are_unknown() -> None:
    _, play = await playing()
    with pytest.raises(ValueError, match="text"):
        play.last.wire.framing("text")
    await play.last.end()


async def test_flow_is_told() -> None:
    client, play = await playing()
    told: list[str] = []
    wire = play.last.wire
    await play.last.start()
    wire.on_flow(lambda: told.append("full"), lambda: told.append("drained"))
    framing = wire.framing("body")
    client.line.stalled = True
    wire.write(framing(b"x" * 1000))
    assert (wire.full, wire.buffered > 1000, told) == (False, True, [])
    wire.write(framing(b"x" * HIGH_WATER))
    assert (wire.full, told) == (True, ["full"])
    client.line.read_all()
    assert (wire.full, wire.buffered, told) == (False, 0, ["full", "drained"])
    await client.drop()
    assert wire.buffered == 0
    await play.last.end()
