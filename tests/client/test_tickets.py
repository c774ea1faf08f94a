from __future__ import annotations

import json

import pytest

from gateway.client.tickets import NAME, ROUTE, TicketOffice
from gateway.core.access import NoAccessLog
from gateway.core.asgi import Message, Scope
from gateway.core.cors import SHARING
from gateway.core.stats import Stats
from gateway.errors import ClientError

BEARER = (b"authorization", b"Bearer SECRET")


async def nothing() -> Message:
    raise AssertionError("there is nothing to be received")


class Office:
    """What a client has of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stats = Stats()
        self.office = TicketOffice(self.stats, NoAccessLog(), lambda: self.now)

    async def ask(self, method: str = "POST", *headers: tuple[bytes, bytes]) -> tuple[Message, bytes]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await self.office.serve({"type": "http", "method": method, "headers": list(headers)}, nothing, send, ROUTE)
        assert self.stats.routes[NAME].requests == {(method, sent[0]["status"]): 1}
        return sent[0], sent[1]["body"]

    async def ticket(self) -> str:
        _, body = await self.ask("POST", BEARER)
        ticket: str = json.loads(body)["ticket"]
        return ticket

    def admit(self, query: str, *headers: tuple[bytes, bytes], **more: object) -> Scope:
        scope: Scope = {"type": "http", "query_string": query.encode(), "headers": list(headers), **more}
        self.office.admit(scope)
        return scope


async def test_a_ticket_is_given_for_what_is_shown() -> None:
    start, body = await Office().ask("POST", BEARER)
    headers = dict(start["headers"])
    assert (start["status"], headers[b"cache-control"]) == (200, b"no-store")
    assert int(headers[b"content-length"]) == len(body)
    given = json.loads(body)
    assert given.keys() == {"ticket", "expires_in"}
    assert (len(given["ticket"]), given["expires_in"]) == (32, 30)
    assert b"SECRET" not in body


async def test_any_origins_page_may_ask_with_its_own_token() -> None:
    start, _ = await Office().ask("OPTIONS", (b"origin", b"https://a"), (b"access-control-request-method", b"POST"))
    headers = dict(start["headers"])
    assert (start["status"], headers[b"access-control-allow-origin"]) == (204, b"*")
    assert headers[b"access-control-allow-headers"] == b"authorization"
    assert b"access-control-allow-credentials" not in headers, "and never with its cookies"


@pytest.mark.parametrize("headers", [[], [(b"cookie", b"session=1")], [(b"authorization", b"")]])
async def test_nothing_is_given_for_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ClientError) as caught:
        await Office().ask("POST", *headers)
    assert (caught.value.status, caught.value.headers) == (401, ((b"www-authenticate", b"Bearer"),))


async def test_any_origins_page_may_read_why_it_was_refused() -> None:
    scope: Scope = {"type": "http", "method": "POST", "headers": []}
    office = Office()
    with pytest.raises(ClientError):
        await office.office.serve(scope, nothing, office.ask, ROUTE)  # type: ignore[arg-type]  # is not called
    assert scope[SHARING] == [(b"access-control-allow-origin", b"*")]


async def test_it_is_no_websocket() -> None:
    office = Office()
    with pytest.raises(ClientError, match="can't be opened as a WebSocket"):
        await office.office.serve({"type": "websocket", "headers": [BEARER]}, nothing, office.ask, ROUTE)  # type: ignore[arg-type]  # is not called


async def test_it_stands_for_what_it_was_given_for_once() -> None:
    office = Office()
    ticket = await office.ticket()
    scope = office.admit(f"size=M&live.ticket={ticket}&live.mode=patch", (b"host", b"a"))
    assert scope["query_string"] == b"size=M&live.mode=patch"
    assert scope["headers"] == [(b"host", b"a"), BEARER]
    with pytest.raises(ClientError, match="was used"):
        office.admit(f"live.ticket={ticket}")


async def test_who_shows_something_else_is_who_that_says() -> None:
    office = Office()
    other = (b"authorization", b"Bearer other")
    assert office.admit(f"live.ticket={await office.ticket()}", other)["headers"] == [other]


async def test_one_that_is_too_old() -> None:
    office = Office()
    ticket = await office.ticket()
    office.now = 30.0
    with pytest.raises(ClientError, match="too old"):
        office.admit(f"live.ticket={ticket}")


async def test_it_is_for_reading() -> None:
    office = Office()
    ticket = await office.ticket()
    with pytest.raises(ClientError, match="for streams"):
        office.admit(f"live.ticket={ticket}", method="POST")
    assert office.admit(f"live.ticket={ticket}", type="websocket")["headers"] == [BEARER]


def test_where_there_is_none_nothing_changes() -> None:
    for query in ("", "a=b&live.mode=patch", "xlive.ticket=a"):
        scope = Office().admit(query)
        assert (scope["query_string"], scope["headers"]) == (query.encode(), [])
