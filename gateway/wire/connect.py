"""Makes connections to an upstream: addresses, TCP, TLS, and every way in which that fails, as one table.

What an operator needs is in the error's cause; its text may be read by clients and names only the upstream.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.settings import UpstreamSettings, UpstreamTls

P = TypeVar("P", bound=asyncio.Protocol)

# Most special first: the first that matches is taken.
_FAILURES: tuple[tuple[type[Exception], type[UpstreamError], str], ...] = (
    (TimeoutError, UpstreamTimeout, "could not be connected in time"),
    (ssl.SSLCertVerificationError, UpstreamUnavailable, "has a certificate that is not trusted"),
    (ssl.SSLError, UpstreamUnavailable, "failed the TLS handshake"),
    (socket.gaierror, UpstreamUnavailable, "has a host name that could not be resolved"),
    (UnicodeError, UpstreamUnavailable, "has a host name that could not be resolved"),
    (ConnectionRefusedError, UpstreamUnavailable, "refused the connection"),
    (OSError, UpstreamUnavailable, "could not be connected"),
)


class Connector:
    """Connects to one upstream. Reads the TLS files when made, so that mistakes in them are found at start-up."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._tls = _context(settings.tls) if settings.scheme == "https" else None

    async def connect(self, make: Callable[[], P]) -> P:
        """Try each address in turn within the connect timeout. Raises UpstreamError."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeouts.connect):
                return await self._try_all(make, await self._addresses())
        except Exception as error:
            for kind, failure, words in _FAILURES:
                if isinstance(error, kind):
                    raise failure(f"upstream {settings.name!r} {words}") from error
            raise

    async def _addresses(self) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._settings.host, self._settings.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def _try_all(self, make: Callable[[], P], addresses: list[str]) -> P:
        """Each address gets an equal share of the time, so that a dead one leaves some for the rest."""
        share = self._settings.timeouts.connect / len(addresses)
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(share):
                    return await self._try(make, address)
            except OSError:  # TimeoutError and SSLError are among them
                continue
        return await self._try(make, addresses[-1])

    async def _try(self, make: Callable[[], P], address: str) -> P:
        settings = self._settings
        name = (settings.tls.server_name or settings.host) if self._tls else None
        _, protocol = await asyncio.get_running_loop().create_connection(
            make, address, settings.port, ssl=self._tls, server_hostname=name
        )
        return protocol


def _context(tls: UpstreamTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(["http/1.1"])
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
