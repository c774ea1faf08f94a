"""Authenticators find out who a client is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from gateway.core.event import Json
from gateway.core.http import Request
from gateway.core.identity import Identity


class Authenticator(Protocol):
    """Made once for its name under `auth:`, and asked by every route that names it.

    Asked once for each REST request and once for each stream, before the upgrade. A route may name several: they are
    asked in order until one knows the client.
    """

    @property
    def challenge(self) -> bytes:
        """`WWW-Authenticate` (RFC 9110 section 11.6.1) for a client that shows no credentials."""

    async def authenticate(self, request: Request) -> Identity | None:
        """Whose credentials these are; None when there are none of this authenticator's kind.

        Credentials are in `request.headers`: `Authorization` (also where a browser had to put a token into the
        WebSocket's subprotocols), `Cookie`, or a header of its own. Cookies that a page of another site brought
        along have been removed.

        Raises ClientError: 401 for credentials that don't hold (the route's next authenticator is asked then, and
        `challenge` is added where the error has no `WWW-Authenticate`), 403 for a client that is known and not
        wanted (nobody else is asked). UpstreamError: whoever has to be asked can't be; the client is answered 503.
        Any other exception is a bug, is logged, and lets nobody in. Error texts hold nothing of the credentials.

        Many calls run at once; each may be cancelled at any await. Work of more than a few milliseconds leaves the
        loop, and whatever is remembered of credentials is bounded and never the credentials themselves.
        """


@runtime_checkable
class Described(Protocol):
    """Options of an authenticator that can say how clients show its credentials, for documents about the API."""

    def schemes(self) -> Sequence[Mapping[str, Json]]:
        """Security schemes of AsyncAPI 3, of which any will do; they hold nothing secret."""
