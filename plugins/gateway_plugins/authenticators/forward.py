"""Asks the API that is there already who a client is: the client's own credentials, sent to one URL of it.

The question is a GET without a body that carries the credentials and nothing else of the client's request: no
`Upgrade`, no `Sec-WebSocket-*`, no path. So the answer depends on the credentials alone, and is remembered for a
short while by a keyed hash of them. Whatever is not a clear yes lets nobody in.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from gateway.plugin import (
    Answer,
    AuthenticatorPlugin,
    ClientError,
    Context,
    Duration,
    Headers,
    Identity,
    Json,
    Names,
    Options,
    Plugin,
    Recent,
    Request,
    Size,
    UpstreamError,
    UpstreamName,
)

# Clients remembered at once; one that was forgotten costs one more question.
_REMEMBERED = 10_000
# A refusal is remembered for less: a login must take effect at once, a flood of bad tokens must not reach the API.
_REFUSALS = 2.0

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_PATH = re.compile(r"/[!-~]*")
_CONNECTION = {"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade", "expect"}

Outcome: TypeAlias = "Identity | ClientError"


def _header_name(name: str) -> str:
    lowered = name.lower()
    if not _TOKEN.fullmatch(name) or lowered in _CONNECTION or lowered.startswith("sec-websocket"):
        raise ValueError("expected the name of a header that holds credentials, as in Authorization")
    return lowered


def _path(text: str) -> str:
    if not _PATH.fullmatch(text) or "#" in text:
        raise ValueError("expected a path as it is sent, as in /api/me")
    return text


def _header_names(names: list[str]) -> list[str]:
    return _distinct([_header_name(name) for name in names])


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("one of them stands here twice")
    return names


HeaderName = Annotated[str, AfterValidator(_header_name)]


class ForwardOptions(Options):
    """Asks the API that is there already who a client is."""

    upstream: UpstreamName
    path: Annotated[str, AfterValidator(_path)]
    credentials: Annotated[Names, AfterValidator(_header_names)] = Field(default=["authorization", "cookie"])
    subject: str = "sub"
    claims: dict[str, HeaderName] = Field(default={})
    cache: Duration = 30.0
    timeout: Duration = 5.0
    max_body: Size = 64 * 1024

    def schemes(self) -> tuple[dict[str, Json], ...]:
        """What is forwarded: headers, of which the API may want any."""
        return tuple({"type": "httpApiKey", "in": "header", "name": name} for name in self.credentials)


class Forward:
    """The authenticator."""

    challenge = b"Bearer"

    def __init__(self, options: ForwardOptions, context: Context) -> None:
        self._options = options
        self._upstream = context.upstreams[options.upstream]
        self._clock = context.clock
        self._hash = partial(blake2b, key=secrets.token_bytes(32), digest_size=16)
        self._known: Recent[bytes, Outcome] = Recent(_REMEMBERED)
        self._flights = Flights()

    async def authenticate(self, request: Request) -> Identity | None:
        names = self._options.credentials
        lowered = [(name.lower(), value) for name, value in request.headers]
        credentials = [pair for pair in lowered if pair[0].decode("latin-1") in names]
        if not credentials:
            return None
        hashed = self._hash(repr(credentials).encode()).digest()
        outcome = self._known.get(hashed, self._clock.monotonic())
        if outcome is None:
            outcome = await self._flights.fly(hashed, partial(self._ask, hashed, credentials))
        if isinstance(outcome, ClientError):
            raise _again(outcome)
        return outcome

    async def _ask(self, hashed: bytes, credentials: Headers) -> Outcome:
        options = self._options
        headers = [*_one_cookie(credentials), (b"accept", b"application/json")]
        try:
            async with asyncio.timeout(options.timeout):
                answer = await self._upstream.fetch("GET", options.path.encode(), headers, max_body=options.max_body)
        except TimeoutError:
            raise UpstreamError(f"upstream {self._upstream.name} did not say in time who a client is") from None
        outcome = self._outcome(answer)
        kept = options.cache if isinstance(outcome, Identity) else min(options.cache, _REFUSALS)
        if isinstance(outcome, Identity) and outcome.expires is not None:
            kept = min(kept, outcome.expires - self._clock.time())
        self._known.put(hashed, outcome, self._clock.monotonic() + kept)
        return outcome

    def _outcome(self, answer: Answer) -> Outcome:
        status = answer.status
        if status == 401 or 300 <= status < 400:  # to a page where people log in
            challenges = [pair for pair in answer.headers if pair[0].lower() == b"www-authenticate"]
            error = ClientError(401, "bad_credentials", "the backend does not know these credentials", close_code=4401)
            return error.with_headers(*challenges)
        if status == 403:
            return ClientError(403, "forbidden", "the backend forbids it to this client", close_code=4403)
        if not 200 <= status < 300:
            raise UpstreamError(f"upstream {self._upstream.name} answered {status} when asked who a client is")
        claims = self._claims(answer)
        subject = claims.get(self._options.subject)
        if isinstance(subject, bool) or not isinstance(subject, str | int) or subject == "":
            raise UpstreamError(f"upstream {self._upstream.name} said yes, but not who ({self._options.subject})")
        expires = claims.get("exp")
        timed = isinstance(expires, int | float) and not isinstance(expires, bool) and math.isfinite(expires)
        return Identity(subject=str(subject), claims=claims, expires=float(expires) if timed else None)  # type: ignore[arg-type]

    def _claims(self, answer: Answer) -> Mapping[str, Json]:
        """The answer's JSON object, and what the configuration takes from its headers."""
        try:
            document: Json = json.loads(answer.body) if answer.body else {}
        except (ValueError, RecursionError):
            document = {}
        claims = dict(document) if isinstance(document, dict) else {}
        headers = {name.lower(): value.decode("latin-1") for name, value in reversed(answer.headers)}
        for claim, name in self._options.claims.items():
            claims.pop(claim, None)
            if name.encode() in headers:
                claims[claim] = headers[name.encode()]
        return claims


class Flights:
    """One question at a time for each key; whoever asks the same meanwhile waits for the same answer."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, asyncio.Future[Outcome]] = {}

    async def fly(self, key: bytes, ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
        while (flight := self._under_way.get(key)) is not None:
            await asyncio.wait([flight])
            if not flight.cancelled():  # else whoever asked has left, and the next asks
                return flight.result()
        flight = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await ask()
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # nobody may have waited
            raise
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(outcome)
            return outcome
        finally:
            del self._under_way[key]


def _one_cookie(headers: Headers) -> Headers:
    """HTTP/2 clients may send their cookies in pieces; HTTP/1.1 takes them in one (RFC 9113 section 8.2.3)."""
    pieces = [value for name, value in headers if name == b"cookie"]
    rest = [pair for pair in headers if pair[0] != b"cookie"]
    return [*rest, (b"cookie", b"; ".join(pieces))] if pieces else rest


def _again(error: ClientError) -> ClientError:
    """A fresh copy: whoever answers it may add headers."""
    copy = ClientError(error.status, error.code, error.detail, close_code=error.close_code)
    return copy.with_headers(*error.headers)


plugin: AuthenticatorPlugin[ForwardOptions] = Plugin(ForwardOptions, Forward)
