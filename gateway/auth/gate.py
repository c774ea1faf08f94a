"""The gate of one route: its authenticators in order, and what becomes of a client that none of them knows.

Lets nobody in by accident: whatever goes wrong here is a refusal.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from gateway.core.codes import FORBIDDEN, UNAUTHENTICATED
from gateway.core.event import Json
from gateway.core.expression import compile_expression
from gateway.core.http import Request
from gateway.core.identity import Identity
from gateway.core.settings import AuthSettings, Route
from gateway.core.stats import Counts, Stats
from gateway.core.template import Template, Values, header_value, parse
from gateway.errors import ClientError, UpstreamError
from gateway.plugin import Authenticator

_log = logging.getLogger("tidegate.auth")

_CHALLENGE = b"www-authenticate"


@dataclass(frozen=True, slots=True)
class Keeper:
    """One authenticator, by its name under `auth:`, what is counted of it, and the headers its identities get."""

    name: str
    authenticator: Authenticator
    counts: Counts
    headers: tuple[tuple[bytes, Template], ...] = ()

    def named(self, identity: Identity, values: Values) -> Identity:
        """The identity with what goes upstream in its name; raises ClientError for claims that can't be headers."""
        if not self.headers:
            return identity
        rendered = [(name, template(values)) for name, template in self.headers]
        try:
            headers = tuple((name, header_value(text)) for name, text in rendered if text is not None)
        except ValueError:
            detail = "a claim of these credentials cannot be sent to the backend"
            raise ClientError(403, "bad_claim", detail, close_code=FORBIDDEN.code) from None
        return replace(identity, headers=headers)

    async def ask(self, request: Request) -> Identity | None:
        """As `Authenticator.authenticate`, counted, and with every failure as a ClientError."""
        try:
            identity = await self.authenticator.authenticate(request)
        except ClientError as error:
            self.counts["refused" if error.status < 500 else "error"] += 1
            raise
        except UpstreamError as error:
            _log.debug("authenticator %s: %s", self.name, error)
            self._unavailable()
        except Exception:
            _log.exception("authenticator %s failed", self.name)
            self._unavailable()
        self.counts["absent" if identity is None else "accepted"] += 1
        return identity

    def _unavailable(self) -> NoReturn:
        self.counts["error"] += 1
        detail = "the credentials cannot be checked at the moment; try again later"
        raise ClientError(503, "auth_unavailable", detail).with_headers((b"retry-after", b"5")) from None


class Gate:
    """The keepers of one route, and what it asks of the clients that they know."""

    def __init__(self, keepers: tuple[Keeper, ...], access: str | None = None) -> None:
        self._keepers = keepers
        self._access = compile_expression(access) if access is not None else None
        challenges = dict.fromkeys(keeper.authenticator.challenge for keeper in keepers)
        self._challenges = tuple((_CHALLENGE, challenge) for challenge in challenges)

    async def admit(self, request: Request) -> Identity:
        """Who the client is; raises ClientError when nobody knows it."""
        return (await self.known(request))[1]

    async def known(self, request: Request) -> tuple[str, Identity]:
        """The name of the first authenticator that knows the client, and who it is; raises ClientError as `admit`."""
        refusal: ClientError | None = None
        for keeper in self._keepers:
            try:
                identity = await keeper.ask(request)
            except ClientError as error:
                if error.status == 403:
                    raise
                refusal = refusal or error
                continue
            if identity is not None:
                values: dict[str, dict[str, Json]] = {"claims": dict(identity.claims), "params": dict(request.params)}
                self._check_access(values)
                return keeper.name, keeper.named(identity, values)
        raise self._challenged(
            refusal or ClientError(401, "unauthenticated", "this needs credentials", close_code=UNAUTHENTICATED.code)
        )

    def _check_access(self, values: dict[str, dict[str, Json]]) -> None:
        """Only a plain `true` gives access: what can't be decided, and what is merely there, does not."""
        if self._access is None:
            return
        try:
            granted = self._access({**values})
        except ValueError:
            granted = False
        if granted is not True:
            detail = "these credentials give no access to this resource"
            raise ClientError(403, "forbidden", detail, close_code=FORBIDDEN.code)

    def _challenged(self, error: ClientError) -> ClientError:
        """A 401 always says what would help (RFC 9110 section 15.5.2)."""
        if error.status == 401 and not any(name.lower() == _CHALLENGE for name, _ in error.headers):
            error.with_headers(*error.headers, *self._challenges)
        return error


def gates(
    routes: tuple[Route, ...],
    settings: Mapping[str, AuthSettings],
    authenticators: Mapping[str, Authenticator],
    stats: Stats,
) -> dict[str, Gate]:
    """The gates of the routes that have one, by the route's name; `settings` and `authenticators` are by their own."""
    keepers: dict[str, Keeper] = {}
    for name, made in authenticators.items():
        headers = tuple((header.encode(), parse(text)) for header, text in settings[name].headers)
        keepers[name] = Keeper(name, made, stats.auth[name], headers)
    guarded = (route for route in routes if route.auth)
    return {route.name: Gate(tuple(keepers[name] for name in route.auth), route.access) for route in guarded}
