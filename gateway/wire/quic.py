"""HTTP/3 on a listener's port: who of those that send datagrams is let in, and whose each datagram is.

aioquic is an extra: this module and `quic_connection`, the only ones that know it, are imported where it is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import cast

from aioquic._buffer import Buffer
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from gateway.core.settings import Limits, ServerTls
from gateway.core.stats import TlsStats
from gateway.wire.listener import Listener, log
from gateway.wire.quic_connection import WINDOW, Address, Bounded, Connection
from gateway.wire.tls import Certificates, Served

_CID = 8
# Clients in their handshakes who have not shown that their address is theirs; from here on they have to, at the
# price of a round trip (RFC 9000 section 8.1.2).
UNPROVEN = 64

for _name in ("quic", "http3"):  # what clients do wrong is told by the metrics, and by our own lines
    logging.getLogger(_name).setLevel(logging.ERROR)


class Quic(asyncio.DatagramProtocol):
    """The UDP socket of a listener, and the connections by their identifiers.

    Raises OSError or ValueError when made of certificates that can't be used.
    """

    def __init__(self, listener: Listener, certificates: Certificates, tls: ServerTls, stats: TlsStats) -> None:
        self.listener = listener
        self.stats = stats
        self.routes: dict[bytes, Connection] = {}
        self.unproven = 0
        self.transport: asyncio.DatagramTransport
        self._certificates = certificates
        self._tls = tls
        self._retry = QuicRetryTokenHandler()
        self.served: Served = certificates.default
        self._configuration = _configuration(tls, listener.limits)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=_CID)
        except ValueError:
            return
        connection = self.routes.get(header.destination_cid) or self._arrive(header, data, addr)
        if connection is not None:
            connection.received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """A client is no longer there; its silence will tell."""

    def close(self) -> None:
        self.transport.close()

    def _arrive(self, header: QuicHeader, data: bytes, addr: Address) -> Connection | None:
        """The connection that a first packet asks for, if there is to be one."""
        if header.packet_type == QuicPacketType.VERSION_NEGOTIATION or self.listener.closing:
            return None
        if header.version is not None and header.version not in self._configuration.supported_versions:
            if len(data) >= SMALLEST_MAX_DATAGRAM_SIZE:  # RFC 9000 section 6: or an answer is larger than its cause
                self._send_versions(header, addr)
            return None
        if header.packet_type != QuicPacketType.INITIAL or len(data) < SMALLEST_MAX_DATAGRAM_SIZE:
            return None
        error = self.listener.room(addr[0])
        if error is not None:
            self.listener.stats.refused[error.code] += 1
            log.debug("an HTTP/3 connection was refused: %s", error.detail)
            return None
        original: bytes = header.destination_cid
        retried: bytes | None = None
        if header.token:
            now, retried = self.listener.loop.time(), header.destination_cid
            try:
                original = self._retry.validate_token(
                    address=addr, destination_cid=retried, token=header.token, now=now
                )
            except ValueError:
                return None
        elif self.unproven >= UNPROVEN:
            self._send_retry(header, addr)
            return None
        return self._connect(header.destination_cid, original, retried, addr)

    def _connect(self, cid: bytes, original: bytes, retried: bytes | None, addr: Address) -> Connection:
        self._follow_certificate()
        quic = Bounded(
            configuration=self._configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        connection = Connection(self, quic, addr)
        self.routes[cid] = self.routes[quic.host_cid] = connection
        connection.cids |= {cid, quic.host_cid}
        return connection

    def _follow_certificate(self) -> None:
        if self._certificates.default is not self.served:
            try:
                self._configuration = _configuration(self._tls, self.listener.limits)
            except (OSError, ValueError) as error:  # changed again since, and not yet whole
                log.debug("the certificate for HTTP/3 stays the old one: %s", error)
            else:
                self.served = self._certificates.default

    def _send_versions(self, header: QuicHeader, addr: Address) -> None:
        versions = self._configuration.supported_versions
        answer = encode_quic_version_negotiation(
            source_cid=header.destination_cid, destination_cid=header.source_cid, supported_versions=versions
        )
        self.transport.sendto(answer, addr)

    def _send_retry(self, header: QuicHeader, addr: Address) -> None:
        source = os.urandom(_CID)
        token = self._retry.create_token(
            address=addr,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self.listener.loop.time(),
        )
        assert header.version is not None
        answer = encode_quic_retry(
            version=header.version,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self.transport.sendto(answer, addr)


def _configuration(tls: ServerTls, limits: Limits) -> QuicConfiguration:
    made = QuicConfiguration(
        is_client=False, alpn_protocols=H3_ALPN, idle_timeout=limits.idle_time, max_stream_data=WINDOW
    )
    made.load_cert_chain(tls.cert, tls.key)
    return made
