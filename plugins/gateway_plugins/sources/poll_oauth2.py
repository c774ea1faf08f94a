"""The gateway's own token for a backend: the client credentials grant of OAuth 2.0 (RFC 6749 section 4.4).

One request at a time asks the token server, whatever the number of channels; a token is used until shortly before it
expires, and asked for again when the backend refuses it. A failure counts for a while, so that a token server in
trouble is not asked by every poll. Reasons are shown to clients: they hold no more of an answer than its status and
the standard's own words.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from typing import Annotated, Literal
from urllib.parse import quote_plus, urlencode

from pydantic import AfterValidator, ConfigDict

from gateway.plugin import (
    Answer,
    Clock,
    Context,
    Header,
    Headers,
    Options,
    Secret,
    UpstreamError,
    origin_and_target,
    outside_url,
)
from gateway_plugins.sources.poll_answer import Failed

# Large tokens, with many roles in them, have some KB; more would not fit in a header either.
_MOST_BYTES = 64 * 1024
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}", re.ASCII)  # RFC 6750 section 2.1

# A token that does not say how long it holds: the shortest that is usual.
_USUAL = 300.0
# Asked for again so long before it expires, or a tenth of its life if that is less: a poll may take as long.
_EARLY = 30.0
# What clients are told in place of a reason that machines could read.
_CODE = "upstream_credentials"

# Between two requests to a token server that failed.
_PAUSE = 5.0

# RFC 6749 section 5.2.
_ERRORS = frozenset(
    (
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    )
)


def _token_url(url: str) -> str:
    return outside_url(
        url,
        example="https://id.example.com/oauth/token",
        risk="the client's secret would be sent for all to read: use https",
    )


class OAuth2(Options):
    """Tokens by the client credentials grant (RFC 6749 section 4.4)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    token_url: Annotated[str, AfterValidator(_token_url)]
    """where tokens are asked for; https, but on this machine"""
    client_id: str
    """the gateway's name there"""
    client_secret: Secret
    """and its secret"""
    scope: str | None = None
    """what the tokens are for, as in orders:read"""
    audience: str | None = None
    """whom they are for, where the token server wants to know"""
    send: Literal["basic", "body"] = "basic"
    """how name and secret are sent: as Authorization: Basic, or in the body for servers that want it"""

    def request(self) -> tuple[Headers, bytes]:
        """What to ask the token server."""
        form = {"grant_type": "client_credentials", "scope": self.scope, "audience": self.audience}
        headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"accept", b"application/json")]
        secret = self.client_secret.get_secret_value()
        if self.send == "body":
            form |= {"client_id": self.client_id, "client_secret": secret}
        else:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
            headers.append((b"authorization", b"Basic " + b64encode(pair.encode())))
        return headers, urlencode({name: value for name, value in form.items() if value is not None}).encode()


class Tokens:
    """The token in force."""

    def __init__(self, options: OAuth2, context: Context) -> None:
        origin, self._target = origin_and_target(options.token_url)
        self._upstream = context.upstream_at(origin)
        self._headers, self._body = options.request()
        self._clock: Clock = context.clock
        self._asking = asyncio.Lock()
        self._line: Header | None = None
        self._until = 0.0
        self._failure: Failed | None = None
        self._failed_until = 0.0

    async def line(self) -> Header:
        """The header to send. Raises Failed."""
        if self._line is None or self._clock.monotonic() >= self._until:
            async with self._asking:
                if self._line is None or self._clock.monotonic() >= self._until:
                    self._line = await self._renewed()
        return self._line

    def refused(self, line: Header) -> None:
        """The backend does not take this one, which may be an older one than that in force."""
        if line == self._line:
            self._line = None

    async def _renewed(self) -> Header:
        if self._failure is not None and self._clock.monotonic() < self._failed_until:
            raise self._failure
        try:
            token, lifetime = _token_of(await self._ask())
        except Failed as failure:
            self._failure, self._failed_until = failure, self._clock.monotonic() + _PAUSE
            raise
        self._failure = None
        self._until = self._clock.monotonic() + lifetime - min(_EARLY, lifetime / 10)
        return b"authorization", b"Bearer " + token.encode()

    async def _ask(self) -> Answer:
        try:
            return await self._upstream.fetch(
                "POST", self._target, self._headers, body=self._body, max_body=_MOST_BYTES
            )
        except UpstreamError:
            raise Failed("the token server cannot be reached, or its answer is no HTTP", code=_CODE) from None


def _token_of(answer: Answer) -> tuple[str, float]:
    """The token and for how many seconds it holds. Raises Failed."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    known = said if isinstance(said, dict) else {}
    if answer.status != 200:
        error = known.get("error")
        why = f": {error}" if isinstance(error, str) and error in _ERRORS else ""
        raise Failed(f"the token server answered {answer.status}{why}", code=_CODE)
    token, kind, lifetime = known.get("access_token"), known.get("token_type", "bearer"), known.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise Failed("the token server's answer has no access_token that can be sent", code=_CODE)
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Failed("the token server's token is not of the type bearer", code=_CODE)
    if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdigit():
        lifetime = int(lifetime[:9])  # a text in the answers of some servers
    if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or not 0 < lifetime < 1e9:
        return token, _USUAL
    return token, float(lifetime)
