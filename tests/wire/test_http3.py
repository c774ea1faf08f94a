"""Requests of HTTP/3 without QUIC: what the application gets, and what is put on the stream."""

from __future__ import annotations

import pytest

from gateway.core.asgi import Headers
from gateway.errors import ClientError, UpstreamProtocolError
from gateway.wire.asgi import Ends
from gateway.wire.http3 import DONE, HIGH_WATER, LOW_WATER, Request, refused, scope_of
from tests.wire.wired import Play, begun, listener_for, responds, settle

FIELDS: Headers = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"shop"), (b":path", b"/a?b")]
ENDS = Ends.of(("192.0.2.1", 4711), ("192.0.2.2", 443), {})


class Carried:
    """A carrier that writes down; `full` is what it says that waits."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.full = 0

    def fields(self, stream: int, fields: Headers, /, *, last: bool) -> None:
        self.sent.append((dict(fields) if not last else fields, last))

    def data(self, stream: int, data: bytes, /, *, last: bool) -> None:
        self.sent.append((data, last))

    def reset(self, stream: int, /) -> None:
        self.sent.append("reset")

    def waiting(self, stream: int, /) -> int:
        return self.full

    def over(self, stream: int, /) -> None:
        self.sent.append("over")

    def more(self) -> None:
        self.sent.append("more")


class Asked:
    """A request that the test plays from both sides."""

    def __init__(self, app: object = None, fields: Headers = FIELDS, *, whole: bool = True) -> None:
        self.play = Play()
        self.listener = listener_for(app or self.play)  # type: ignore[arg-type]
        self.carrier = Carried()
        self.request = Request(self.listener, self.carrier, 0, fields, whole=whole)
        self.listener.spawn(self.request.run(scope_of(self.listener, ENDS, fields)))


async def test_a_response() -> None:
    asked = Asked(responds(200, [(b"X-A", b" 1 "), (b"Connection", b"close"), (b"Date", b"now")], b"a", b"b"))
    await settle()
    head = {b":status": b"200", b"x-a": b"1", b"date": b"now"}
    assert asked.carrier.sent == [(head, False), (b"a", False), (b"b", True), "over"]
    assert not asked.listener.tasks


async def test_the_body_of_a_request() -> None:
    asked = Asked(whole=False)
    await settle()
    receive = asked.play.last.receive
    asked.request.feed(b"ab")
    asked.request.feed(b"cd")
    assert await receive() == {"type": "http.request", "body": b"abcd", "more_body": True}
    assert asked.carrier.sent == ["more"]
    last = begun(receive())
    await settle()
    asked.request.end()
    assert await last == {"type": "http.request", "body": b"", "more_body": False}
    waiting = begun(receive())
    await settle()
    assert not waiting.done()
    asked.request.gone()
    assert (await waiting)["type"] == "http.disconnect"
    await asked.play.last.end()


async def test_sending_waits_for_the_client() -> None:
    asked = Asked()
    await settle()
    await asked.play.last.start()
    asked.carrier.full = HIGH_WATER + 1
    sending = begun(asked.play.last.body(b"a"))
    await settle()
    for waiting in (HIGH_WATER, LOW_WATER + 1):
        asked.carrier.full = waiting
        asked.request.flowing()
        await settle()
        assert not sending.done()
    asked.carrier.full = LOW_WATER
    asked.request.flowing()
    await sending
    await asked.play.last.body(b"", more=False)
    assert asked.request.phase == DONE
    await asked.play.last.end()


async def test_who_waits_for_the_client_hears_of_the_end_of_the_answer() -> None:
    asked = Asked()
    await settle()
    await asked.play.last.receive()
    waiting = begun(asked.play.last.receive())
    await settle()
    await asked.play.last.start()
    await asked.play.last.body(b"", more=False)
    assert (await waiting)["type"] == "http.disconnect"
    await asked.play.last.end()


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body(status: int) -> None:
    asked = Asked(responds(status, [], b"nobody wants it"))
    await settle()
    assert asked.carrier.sent[1:] == [(b"", True), "over"]


async def test_trailers() -> None:
    asked = Asked()
    await settle()
    call = asked.play.last
    await call.start(trailers=True)
    await call.body(b"a", more=False)
    await call.send({"type": "http.response.trailers", "headers": [(b"A", b"1")], "more_trailers": True})
    await call.send({"type": "http.response.trailers", "headers": [(b"B", b"2")]})
    await call.end()
    assert asked.carrier.sent[1:] == [(b"a", False), ([(b"a", b"1"), (b"b", b"2")], True), "over"]


async def test_what_may_not_be_sent() -> None:
    asked = Asked()
    await settle()
    call = asked.play.last
    with pytest.raises(RuntimeError, match="can't be sent now"):
        await call.body(b"")
    with pytest.raises(ValueError, match="is not the status of a response"):
        await call.start(101)
    with pytest.raises(ValueError, match="line break"):
        await call.start(200, [(b"a", b"b\r\nc: d")])
    await call.start()
    with pytest.raises(RuntimeError, match="can't be sent now"):
        await call.start()
    await call.end()
    assert asked.carrier.sent[1:] == ["reset", "over"]


async def test_an_application_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    await settle()
    await asked.play.last.end(RuntimeError("a bug"))
    (head, _), (body, last), over = asked.carrier.sent  # type: ignore[misc]
    assert (head[b":status"], last, over) == (b"500", True, "over")  # type: ignore[has-type]
    assert b"internal" in body  # type: ignore[has-type]
    assert b"a bug" not in body  # type: ignore[has-type]
    broken = Asked()
    await settle()
    await broken.play.last.start()
    caplog.clear()
    await broken.play.last.end(UpstreamProtocolError("on purpose"))
    assert broken.carrier.sent[1:] == ["reset", "over"]
    assert not caplog.records


async def test_a_task_that_is_cancelled_resets_its_stream() -> None:
    asked = Asked()
    await settle()
    for task in asked.listener.tasks:
        task.cancel()
    await settle()
    assert asked.carrier.sent == ["reset", "over"]
    assert not asked.listener.tasks


async def test_the_scope() -> None:
    scope = scope_of(listener_for(responds()), ENDS, [*FIELDS, (b"host", b"evil"), (b"a", b"1")])
    assert scope["http_version"] == "3"
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a", b"/a", b"b")
    assert scope["headers"] == [(b"host", b"shop"), (b"a", b"1")]
    assert (scope["client"], scope["server"]) == (("192.0.2.1", 4711), ("192.0.2.2", 443))
    assert scope["state"] == {"from": "lifespan"}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({b":method": b"CONNECT"}, 501, "method"),
        ({b":method": b"G T"}, 400, "malformed"),
        ({b":path": b"a"}, 400, "bad_target"),
        ({b":path": b"*"}, 400, "bad_target"),
        ({b":path": b"/\xff"}, 400, "malformed"),
        ({b":path": b"/" + b"a" * 20_000}, 414, "target_length"),
        ({b":authority": b"a,b"}, 400, "bad_host"),
        ({b"x": b"y" * 20_000}, 431, "headers"),
        ({b"%d" % number: b"" for number in range(100)}, 431, "headers"),
    ],
)
async def test_what_is_refused(change: dict[bytes, bytes], status: int, code: str) -> None:
    fields = list((dict(FIELDS) | change).items())
    with pytest.raises(ClientError) as caught:
        scope_of(listener_for(responds()), ENDS, fields)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert refused(ENDS, fields)["http_version"] == "3"


async def test_options_of_the_server() -> None:
    fields = list((dict(FIELDS) | {b":method": b"OPTIONS", b":path": b"*"}).items())
    assert scope_of(listener_for(responds()), ENDS, fields)["raw_path"] == b"*"
