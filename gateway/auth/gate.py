"""The gate of one route: its authenticators in order, and what becomes of a client that none of them knows.

Lets nobody in by accident: whatever goes wrong here is a refusal.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from gateway.core.codes import UNAUTHENTICATED
from gateway.core.http import Request
from gateway.core.identity import Identity
from gateway.core.settings import Route
from gateway.core.stats import Counts, Stats
from gateway.errors import ClientError, UpstreamError
from gateway.plugin import Authenticator

_log = logging.getLogger("tidegate.auth")

_CHALLENGE = b"www-authenticate"


@dataclass(frozen=True, slots=True)
class Keeper:
    """One authenticator, by its name under `auth:`, and what is counted of it."""

    name: str
    authenticator: Authenticator
    counts: Counts

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
    """The keepers of one route."""

    def __init__(self, keepers: tuple[Keeper, ...]) -> None:
        self._keepers = keepers
        challenges = dict.fromkeys(keeper.authenticator.challenge for keeper in keepers)
        self._challenges = tuple((_CHALLENGE, challenge) for challenge in challenges)

    async def admit(self, request: Request) -> Identity:
        """Who the client is; raises ClientError when nobody knows it."""
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
                return identity
        raise self._challenged(
            refusal or ClientError(401, "unauthenticated", "this needs credentials", close_code=UNAUTHENTICATED.code)
        )

    def _challenged(self, error: ClientError) -> ClientError:
        """A 401 always says what would help (RFC 9110 section 15.5.2)."""
        if error.status == 401 and not any(name.lower() == _CHALLENGE for name, _ in error.headers):
            error.with_headers(*error.headers, *self._challenges)
        return error


def gates(routes: tuple[Route, ...], authenticators: Mapping[str, Authenticator], stats: Stats) -> dict[str, Gate]:
    """The gates of the routes that have one, by the route's name; `authenticators` are by their own."""
    keepers = {name: Keeper(name, made, stats.auth[name]) for name, made in authenticators.items()}
    return {route.name: Gate(tuple(keepers[name] for name in route.auth)) for route in routes if route.auth}
