"""HTTP values shared by the upstream client, the proxy and the sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.core.asgi import Header, Headers
from gateway.core.identity import Identity

IDENTITY = "tidegate.identity"
"""Where an ASGI scope has the client's Identity, on routes with `auth`."""

HANDSHAKE = "tidegate.handshake"
"""Where it has the Handshake, on session routes with `auth`."""


def header(headers: list[Header] | tuple[Header, ...], name: bytes) -> bytes | None:
    """The first value of a header; `name` in lower case, names in `headers` in any case."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


class Asker(Protocol):
    """Whom an upstream is asked for."""

    @property
    def client(self) -> str:
        """Who that is to others who wait for the same upstream: an address, or empty where there is none."""

    def informational(self, status: int, headers: Headers) -> None:
        """Is told each 1xx answer before the final one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response of an upstream. Header names and values are the bytes that came."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked of a live route.

    `target` is the encoded path and query as the upstream knows it: the gateway's own `live.*`
    parameters are in `options` instead. `params` are the path template's, decoded. `identity` is who the client is
    on a route with `auth`; None elsewhere, and for the authenticators themselves.
    """

    kind: str  # "websocket" or "http"
    method: str
    target: bytes
    headers: tuple[Header, ...]
    params: Mapping[str, str]
    options: Mapping[str, str]
    subprotocols: tuple[str, ...] = ()
    identity: Identity | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header; `name` in lower case."""
        return header(self.headers, name)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client was let in with, as authenticators saw it, and `by` which of them, by its name under `auth:`."""

    by: str
    request: Request
