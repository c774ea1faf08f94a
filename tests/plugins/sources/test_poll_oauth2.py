"""Tokens by client credentials, from a token server on a real socket."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.core.settings import UpstreamSettings
from gateway.core.stats import UpstreamStats
from gateway.plugin import Context, Header, Headers, Json, Refused, Upstream
from gateway.testing.clock import ManualClock
from gateway.wire.upstream import HttpUpstream
from gateway_plugins.sources.poll_answer import Failed
from gateway_plugins.sources.poll_oauth2 import OAuth2, Tokens
from gateway_plugins.sources.poll_options import PollOptions
from tests.lines import listening
from tests.plugins.sources.scripted import Run, answer, ok, run

SECRET = "s3cr3t/&"


@dataclass
class TokenServer:
    """Gives tokens t1, t2 and so on, or answers with `broken`; `asked` are heads and forms."""

    lifetime: Json = 3600
    broken: tuple[int, bytes] | None = None
    asked: list[tuple[dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[TokenServer]:
        async with listening(self._serve) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        form = parse_qs((await reader.readexactly(int(head["content-length"]))).decode())
        self.asked.append(({"": first, **head}, form))
        token = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", "expires_in": self.lifetime}
        status, body = self.broken or (200, json.dumps(token).encode())
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def connected(clock: ManualClock) -> AsyncIterator[Context]:
    """A context whose `upstream_at` is the gateway's own client."""
    made: list[HttpUpstream] = []

    def at(url: str) -> Upstream:
        parts = urlsplit(url)
        settings = UpstreamSettings(name="ids", scheme="http", host=parts.hostname or "", port=parts.port or 80)
        made.append(HttpUpstream(settings, UpstreamStats()))
        return made[-1]

    try:
        yield Context(clock=clock, upstream_at=at)
    finally:
        for upstream in made:
            await upstream.close()


def options(server: TokenServer, **more: str) -> OAuth2:
    url = f"http://127.0.0.1:{server.port}/token?tenant=1"
    return OAuth2.model_validate({"token_url": url, "client_id": "tide gate", "client_secret": SECRET, **more})


@asynccontextmanager
async def tokens_of(server: TokenServer, **more: str) -> AsyncIterator[tuple[Tokens, ManualClock]]:
    clock = ManualClock()
    async with server.listening(), connected(clock) as context:
        yield Tokens(options(server, **more), context), clock


def bearer(token: str) -> Header:
    return b"authorization", f"Bearer {token}".encode()


async def test_what_the_token_server_is_asked() -> None:
    server = TokenServer()
    async with tokens_of(server, scope="orders:read all", audience="shop") as (tokens, _):
        assert await tokens.line() == bearer("t1")
    ((head, form),) = server.asked
    assert head[""] == "POST /token?tenant=1 HTTP/1.1"
    assert head["content-type"] == "application/x-www-form-urlencoded"
    assert b64decode(head["authorization"].removeprefix("Basic ")) == b"tide+gate:s3cr3t%2F%26"
    assert form == {"grant_type": ["client_credentials"], "scope": ["orders:read all"], "audience": ["shop"]}


async def test_name_and_secret_in_the_body() -> None:
    server = TokenServer()
    async with tokens_of(server, send="body") as (tokens, _):
        await tokens.line()
    ((head, form),) = server.asked
    assert "authorization" not in head
    assert (form["client_id"], form["client_secret"]) == (["tide gate"], [SECRET])


async def test_one_request_serves_all_who_ask_at_once() -> None:
    server = TokenServer()
    async with tokens_of(server) as (tokens, _):
        assert await asyncio.gather(*[tokens.line() for _ in range(20)]) == [bearer("t1")] * 20
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("lifetime", "holds"),
    [(3600, 3570.0), (100, 90.0), ("100", 90.0), (None, 270.0), (0, 270.0), (True, 270.0), ("soon", 270.0)],
)
async def test_another_is_asked_for_before_it_expires(lifetime: Json, holds: float) -> None:
    server = TokenServer(lifetime)
    async with tokens_of(server) as (tokens, clock):
        await tokens.line()
        clock.advance(holds - 0.5)
        assert await tokens.line() == bearer("t1")
        clock.advance(1)
        assert await tokens.line() == bearer("t2")


async def test_only_the_token_in_force_can_be_refused() -> None:
    server = TokenServer()
    async with tokens_of(server) as (tokens, _):
        first = await tokens.line()
        tokens.refused(first)
        tokens.refused(first)
        assert await tokens.line() == bearer("t2")
        tokens.refused(first)  # by a poll that took long
        assert await tokens.line() == bearer("t2")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b'{"error": "invalid_client"}', "the token server answered 401: invalid_client"),
        (400, b'{"error": "<b>' + SECRET.encode() + b'"}', "the token server answered 400"),
        (500, b"oops", "the token server answered 500"),
        (200, b"[]", "the token server's answer has no access_token that can be sent"),
        (200, b"[" * 5000, "the token server's answer has no access_token that can be sent"),
        (200, b'{"access_token": "a\\r\\nb"}', "the token server's answer has no access_token that can be sent"),
        (200, b'{"access_token": "a", "token_type": "mac"}', "the token server's token is not of the type bearer"),
        (200, b"x" * 70_000, "the token server cannot be reached, or its answer is no HTTP"),
    ],
)
async def test_failures_are_told_without_secrets_and_count_for_a_while(status: int, body: bytes, reason: str) -> None:
    server = TokenServer(broken=(status, body))
    async with tokens_of(server) as (tokens, clock):
        for _ in range(3):
            with pytest.raises(Failed) as failed:
                await tokens.line()
            assert failed.value.reason == reason
            assert failed.value.status is None
        assert len(server.asked) == 1
        clock.advance(5.1)
        server.broken = None
        assert await tokens.line() == bearer("t2")


def polled(server: TokenServer, this: Run) -> PollOptions:
    credentials = {"service": {"oauth2": options(server).model_dump() | {"client_secret": SECRET}}}
    return this.options.model_copy(
        update={"credentials": PollOptions.model_validate({"credentials": credentials}).credentials}
    )


def sent(this: Run) -> list[bytes | None]:
    return [dict(headers).get(b"authorization") for _, _, headers in this.backend.asked]


def only(token: bytes) -> object:
    """A backend that takes one token."""

    def reply(headers: Headers) -> object:
        return ok(b"[1]") if dict(headers)[b"authorization"] == b"Bearer " + token else answer(401)

    return reply


async def test_a_token_that_is_taken_back_is_replaced_at_once() -> None:
    server = TokenServer()
    this = run(only(b"t2"))  # type: ignore[arg-type]  # it answers an Answer
    async with server.listening(), connected(this.clock) as context:
        this.options, this.upstream_at = polled(server, this), context.upstream_at
        await this.watch().look()
    assert sent(this) == [b"Bearer t1", b"Bearer t2"]
    assert this.channel.documents == [[1]]


async def test_a_backend_that_takes_none_is_asked_twice_only() -> None:
    server = TokenServer()
    this = run(only(b"t9"))  # type: ignore[arg-type]  # it answers an Answer
    async with server.listening(), connected(this.clock) as context:
        this.options, this.upstream_at = polled(server, this), context.upstream_at
        with pytest.raises(Refused):
            await this.watch().look()
    assert sent(this) == [b"Bearer t1", b"Bearer t2"]


async def test_clients_hear_why_there_is_no_token() -> None:
    server = TokenServer(
        broken=(401, b'{"error": "invalid_client", "error_description": "no ' + SECRET.encode() + b'"}')
    )
    this = run(ok(b"[1]"))
    async with server.listening(), connected(this.clock) as context:
        this.options, this.upstream_at = polled(server, this), context.upstream_at
        await this.watch().look()
    (status,) = this.channel.told
    assert (status.state, status.reason) == ("error", "the token server answered 401: invalid_client")
    assert this.backend.asked == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"token_url": "http://id.example/token"}, "use https"),
        ({"token_url": "ftp://id.example/token"}, "expected a URL"),
        ({"token_url": "https://id.example:x/token"}, "its port is no port"),
        ({"client_secret": None}, "client_secret"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_mistakes_in_the_options(more: dict[str, object], message: str) -> None:
    given = {"token_url": "https://id.example/token", "client_id": "a", "client_secret": "b"}
    with pytest.raises(ValueError, match=message):
        OAuth2.model_validate(given | more)
