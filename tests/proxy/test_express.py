from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import cast

import pytest

from gateway.core.asgi import Header, HttpExchange
from gateway.core.headers import own
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.stats import RouteStats
from gateway.plugin import UpstreamCall
from gateway.proxy.express import Express
from gateway.proxy.visit import Visit
from tests.proxy.passing import ROUTE, gate
from tests.proxy.passing import Client as Socket
from tests.proxy.played import Call, Client, Upstream
from tests.proxy.test_inbound import Wire, scope_of
from tests.wire.scripted import OK, Peer, Timeouts, answers, until


class Way:
    """A request without a body, at the beginning of the short way."""

    def __init__(self, call: Call, *headers: Header, host: bytes | None = None) -> None:
        raw = [(b"Host", b"gate"), *headers]
        self.wire = Wire(raw, [])
        self.wire.whole = True
        self.upstream = Upstream(call, host)
        self.detours: list[UpstreamCall | None] = []
        self.answered: list[tuple[int, int]] = []
        client = Client()
        scope = scope_of(*headers, wire=self.wire, method="GET")
        self.visit = Visit(scope, client.receive, client.send, ROUTE, RouteStats())

    def start(self) -> bool:
        wire = cast("HttpExchange", self.wire)
        return Express(self.visit, wire, self._detour, self._answered).start(self.upstream)

    def _answered(self, visit: Visit, status: int, sent: int) -> None:
        assert visit is self.visit
        self.answered.append((status, sent))

    def arrive(self) -> None:
        assert self.upstream.then is not None
        self.upstream.then()

    async def _detour(self, visit: Visit, call: UpstreamCall | None) -> None:
        assert visit is self.visit
        self.detours.append(call)


def test_asked_and_answered_at_once() -> None:
    way = Way(Call(200, [(b"ETag", b'"1"'), (b"Connection", b"close")], b"hello"))
    assert way.start()
    assert way.wire.taken
    [(method, target, ready)] = way.upstream.readied
    assert (method, target) == (b"GET", b"/a%2Fb")
    assert ready.startswith(b"Host: gate\r\nX-Forwarded-For: 192.0.2.1\r\n")
    way.upstream.call.reason = b"Fine"
    way.arrive()
    assert way.wire.reason == b"Fine"
    assert way.wire.answers == [(200, [(b"ETag", b'"1"'), (b"Via", b"1.1 tidegate")], b"hello")]
    assert way.answered == [(200, 5)]


def test_header_lines_are_made_once_for_each_upstream() -> None:
    way = Way(Call())
    assert way.start()
    told, made, own_names = way.wire.notes[way.upstream]
    way.wire.notes[way.upstream] = told, b"as before\r\n\r\n", own_names
    assert way.start()
    assert [ready for _, _, ready in way.upstream.readied] == [made, b"as before\r\n\r\n"]


def test_upstreams_that_were_replaced_are_not_kept() -> None:
    way = Way(Call())
    way.wire.notes.update((object(), None) for _ in range(100))
    assert way.start()
    assert list(way.wire.notes) == [way.upstream]


def test_they_are_made_again_when_something_else_is_to_be_told_of_the_client() -> None:
    way = Way(Call())
    users = (None, b"ada", b"ada", b"bob", None)
    for user in users:
        way.visit.scope.pop(IDENTITY, None)
        if user is not None:
            way.visit.scope[IDENTITY] = Identity(subject="it", headers=((b"x-user", user),))
        assert way.start()
    sent = [ready for _, _, ready in way.upstream.readied]
    assert [re.findall(rb"x-user: (.*)\r\n", ready) for ready in sent] == [[user] if user else [] for user in users]
    assert sent[1] is sent[2]


@pytest.mark.parametrize(("status", "sent"), [(200, [b"Via", b"link"]), (404, [b"Via"])])
def test_a_good_answer_gets_what_is_added(status: int, sent: list[bytes]) -> None:
    way = Way(Call(status))
    way.visit.added = [(b"link", b"<>")]
    assert way.start()
    way.arrive()
    [(_, headers, _)] = way.wire.answers
    assert [name for name, _ in headers] == sent


def test_closed_when_no_connection_is_idle() -> None:
    way = Way(Call())
    way.upstream.busy = True
    assert not way.start()
    assert not way.wire.taken


def test_closed_for_what_may_not_be_sent() -> None:
    way = Way(Call(), (b"bad name", b"x"))
    assert not way.start()
    assert not way.wire.notes


@pytest.mark.parametrize("why", ["more to come", "failed", "slow", "trailers"])
async def test_anything_else_goes_on_the_long_way(why: str) -> None:
    call = Call(200, [], b"a")
    if why == "more to come":
        call.pieces.append(b"b")
    elif why == "slow":
        call.come.clear()
    elif why == "trailers":
        call.trailers = [(b"Digest", b"x")]
    way = Way(call)
    assert way.start()
    if why == "failed":
        call.error = ConnectionError()  # type: ignore[assignment]
    way.arrive()
    assert (way.wire.answers, way.answered) == ([], [])
    await cast("Coroutine[object, object, None]", way.wire.carried.pop())
    assert way.detours == [call]


# Over sockets: the first request opens the upstream connection, those after it take the short way.

GET = b"GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n"
TRAILED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nDigest: x\r\n\r\n"


async def after_a_first(client: Socket, request: bytes = GET) -> None:
    await client.send(GET)
    await client.until(b"\r\n\r\nok")
    await client.send(request)


async def test_one_connection_and_one_count_for_each() -> None:
    async with gate(answers(OK)) as gateway, gateway.client() as client:
        await after_a_first(client)
        await client.until(b"\r\n\r\nok")
        assert gateway.upstream.count == 1
        assert gateway.log.lines == [("GET", "/**", 200, 2)] * 2
        assert gateway.counted.requests == {("GET", 200): 2}
        assert gateway.stats.upstreams["shop"].answers == {200: 2}
        assert sum(gateway.stats.upstreams["shop"].seconds.counts) == sum(gateway.counted.seconds.counts) == 2


async def test_pipelined_requests_are_answered_in_order() -> None:
    numbered = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d" % number for number in range(20)]
    async with gate(answers(*numbered)) as gateway, gateway.client() as client:
        await client.send(GET * 20)
        for number in range(20):
            await client.until(b"\r\n\r\n%02d" % number)
        assert gateway.upstream.count == 1


async def test_an_answer_in_pieces() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl", b"ow")

    async with gate(script) as gateway, gateway.client() as client:
        await after_a_first(client)
        await client.until(b"\r\n\r\nslow")
        await until(lambda: len(gateway.log.lines) == 2)
        assert gateway.log.lines[1] == ("GET", "/**", 200, 4)
        assert gateway.stats.upstreams["shop"].answers == {200: 2}


async def test_trailers_still_come_through() -> None:
    async with gate(answers(OK, TRAILED)) as gateway, gateway.client() as client:
        await after_a_first(client)
        await client.until(b"0\r\nDigest: x\r\n\r\n")


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
async def test_a_dead_connection_is_replaced(method: bytes) -> None:
    async def once(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()

    async with gate(once, answers(OK)) as gateway, gateway.client() as client:
        await after_a_first(client, GET.replace(b"GET", method))
        await client.until(b"\r\n\r\nok")
        assert gateway.stats.upstreams["shop"].retries == 1
        assert not gateway.stats.upstreams["shop"].failures


async def test_a_post_without_a_body_is_not_sent_again() -> None:
    async def once(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()

    async with gate(once, answers(OK)) as gateway, gateway.client() as client:
        await after_a_first(client, GET.replace(b"GET", b"POST"))
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 502 ")
        assert gateway.upstream.count == 1


async def test_a_silent_upstream_is_given_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.closed()

    limits = Timeouts(connect=5, response=0.05, idle=5)
    async with gate(script, timeouts=limits) as gateway, gateway.client() as client:
        await after_a_first(client)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 504 ")
        await until(lambda: len(gateway.log.lines) == 2)


async def test_a_client_that_leaves_a_slow_answer_is_noticed() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.closed()

    limits = Timeouts(connect=5, response=5, idle=0.04)  # the sweep goes by every 10 ms
    async with gate(script, timeouts=limits) as gateway:
        async with gateway.client() as client:
            await after_a_first(client)
        await until(lambda: len(gateway.log.lines) == 2)
        assert gateway.log.lines[1] == ("GET", "/**", 499, 0)


async def test_headers_that_change_are_sent_as_they_are() -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            await peer.send(OK)

    async with gate(script) as gateway, gateway.client() as client:
        for token in (b"a", b"a", b"b", b"a"):
            await client.send(GET[:-2] + b"Authorization: Bearer " + token + b"\r\n\r\n")
            await client.until(b"\r\n\r\nok")
        assert gateway.upstream.count == 1
    tokens = [line for head in seen for line in head.split(b"\r\n") if line.startswith(b"Authorization")]
    assert tokens == [b"Authorization: Bearer " + token for token in (b"a", b"a", b"b", b"a")]


async def test_headers_that_become_the_gateways_own_are_no_more_sent_for_a_client_that_was_there_before() -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            await peer.send(OK)

    async with gate(script) as gateway, gateway.client() as client:
        try:
            for names in ((), (), (b"X-User",), (b"X-User",), ()):
                own(names)
                await client.send(GET[:-2] + b"X-User: admin\r\n\r\n")
                await client.until(b"\r\n\r\nok")
        finally:
            own(())
        assert gateway.upstream.count == 1
    assert [b"X-User: admin" in head for head in seen] == [True, True, False, False, True]
