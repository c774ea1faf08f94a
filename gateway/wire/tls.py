"""TLS of one listener: its certificates, kept as their files are, and what is told of a connection's.

Decides protocols and ciphers (Mozilla's "intermediate", without its finite-field DHE), which certificate a client
gets, and when new files are good enough to take the place of the old. Knows no sockets.
"""

from __future__ import annotations

import os
import ssl
import time
from typing import TypeAlias

from gateway.core.certificate import Certificate, named, read_certificate, read_der
from gateway.core.settings import CertificateFiles, Listen, ServerTls
from gateway.core.stats import TlsStats
from gateway.wire.listener import log

# https://wiki.mozilla.org/Security/Server_Side_TLS, "intermediate", for TLS 1.2; those of TLS 1.3 are all good.
# Left out is DHE, which costs a server more than a client (CVE-2002-20001) and which no browser still needs.
CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
ALPN = ["h2", "http/1.1"]

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

# OpenSSL's words for what went wrong in a handshake, and ours, of gateway.core.stats.TLS_FAILURES.
_REASONS = {
    "CERTIFICATE_VERIFY_FAILED": "client_certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no_client_certificate",
    "HTTP_REQUEST": "plain_http",
    "HTTPS_PROXY_REQUEST": "plain_http",
    "NO_SHARED_CIPHER": "no_shared_cipher",
    "UNSUPPORTED_PROTOCOL": "old_protocol",
    "WRONG_VERSION_NUMBER": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
    "RECORD_LAYER_FAILURE": "not_tls",
    "UNEXPECTED_MESSAGE": "not_tls",
    "BAD_RECORD_TYPE": "not_tls",
}
Extension: TypeAlias = dict[str, object]
_Stamp: TypeAlias = tuple[tuple[int, int, int, int] | str, ...]


def reason(error: BaseException) -> str:
    """The metric label of a handshake that failed."""
    if isinstance(error, ssl.SSLError):
        word = error.reason or ""
        return _REASONS.get(word) or ("client_alert" if "ALERT" in word else "other")
    # A timeout: TimeoutError, or the event loops' own abort. A reset, an end or a lost transport: the rest.
    return "timeout" if isinstance(error, TimeoutError | ConnectionAbortedError) else "disconnected"


class Served(ssl.SSLContext):
    """One certificate with the rules of its listener."""

    pem: str
    ciphers: dict[str, int]
    known: dict[tuple[str, str], Extension]


_Pair: TypeAlias = tuple[Served, Certificate]


class Certificates:
    """What a listener shows to clients. `context` is for good; what it gives follows the files at each `refresh`.

    Raises OSError or ValueError when made of files that can't be used. A certificate out of its time can be: clients
    that look will refuse it, but none is served by a gateway that does not start. It takes no other's place, though.
    """

    def __init__(self, listen: Listen, tls: ServerTls, stats: TlsStats) -> None:
        self._address = listen.address
        self._tls = tls
        self._stats = stats
        self._seen = self._stamps()
        self._wrong: _Stamp | None = None
        self._kept: dict[str, _Pair] = {}
        self._faults: dict[str, str] = {}  # by file: why a certificate that is served is not valid
        self._default, self._by_name = self._load()
        self._tell_faults()
        self.context = _context(tls)
        self.context.sni_callback = self._choose

    @property
    def default(self) -> Served:
        """The certificate for everybody, as its files are now."""
        return self._default

    def refresh(self) -> None:
        """Take files that have changed since; while those are wrong, everything stays as it is."""
        self._take_changes()
        self._tell_faults()

    def _take_changes(self) -> None:
        stamps = self._stamps()
        if stamps == self._seen and self._wrong is None:
            return
        try:
            self._default, self._by_name = self._load()
        except (OSError, ValueError) as error:
            if stamps != self._wrong:
                self._wrong = stamps
                self._stats.reloads["failed"] += 1
                log.error("the changed certificate files of %s can't be used, the old stay: %s", self._address, error)
            return
        self._seen, self._wrong = stamps, None
        self._stats.reloads["ok"] += 1
        log.info("the certificate files of %s were read again", self._address)

    def _choose(self, tls: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
        """OpenSSL asks this for each client, with or without a name."""
        tls.context = named(host, self._by_name, self._default) if host else self._default

    def _load(self) -> tuple[Served, dict[str, Served]]:
        pairs = {pair.cert: _load(self._tls, pair) for pair in self._tls.pairs}
        for file, (served, certificate) in pairs.items():
            fault = certificate.fault(time.time())
            before = self._kept.get(file)
            if fault and before is not None and before[0].pem != served.pem:
                raise ValueError(f"{file}: {fault}")
        by_name: dict[str, Served] = {}
        for served, certificate in pairs.values():
            for name in certificate.names:
                by_name.setdefault(name, served)
        self._kept = pairs
        self._stats.not_after.clear()
        self._stats.not_after.update({file: certificate.not_after for file, (_, certificate) in pairs.items()})
        return pairs[self._tls.cert][0], by_name

    def _tell_faults(self) -> None:
        """Tell of each certificate once when its time is over, and again when it has another."""
        now = time.time()
        faults = {file: fault for file, (_, one) in self._kept.items() if (fault := one.fault(now))}
        for file, fault in faults.items():
            if self._faults.get(file) != fault:
                log.error("clients of %s will refuse %s: %s", self._address, file, fault)
        self._faults = faults

    def _stamps(self) -> _Stamp:
        """What changes when a file does, also when a link to its folder is moved, as Kubernetes does."""
        files = [file for pair in self._tls.pairs for file in (pair.cert, pair.key)]
        return tuple(map(_stamp, [*files, self._tls.client_ca] if self._tls.client_ca else files))


def _stamp(file: str) -> tuple[int, int, int, int] | str:
    try:
        found = os.stat(file)
    except OSError as error:
        return str(error)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _load(tls: ServerTls, pair: CertificateFiles) -> _Pair:
    """The context for a certificate, and what that says of itself."""
    with open(pair.cert, "rb") as file:
        pem = file.read()
    certificate = read_certificate(pem)
    context = _context(tls)
    context.load_cert_chain(pair.cert, pair.key, _no_password)
    context.pem = _first(pem.decode("ascii", "replace"))
    return context, certificate


def _context(tls: ServerTls) -> Served:
    context = Served(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # The client knows whether it has AES in hardware; and RFC 9113 section 9.2.1 forbids renegotiation.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(ALPN)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if tls.client_cert == "required" else ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate authority may be all that is trusted
        context.num_tickets = 0  # a client is looked at anew each time
    context.ciphers = {str(cipher["name"]): int(cipher["id"]) & 0xFFFF for cipher in context.get_ciphers()}
    context.known = {}
    return context


def _no_password() -> str:
    raise ValueError("the private key is encrypted")


def _first(pem: str) -> str:
    """The first certificate of a file that may begin with other things."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return f"{begin}{pem.partition(begin)[2].partition(end)[0]}{end}\n"


def extension(tls: ssl.SSLObject) -> Extension:
    """The ASGI extension `tls` of a connection, https://asgi.readthedocs.io/en/latest/specs/tls.html.

    Connections without a client certificate share it. `client_cert_chain` is the whole chain where Python tells
    it (3.13), else the client's own certificate.
    """
    context = tls.context
    assert isinstance(context, Served)
    cipher, version = (tls.cipher() or ("", "", 0))[0], tls.version() or ""
    shared = context.known.get((cipher, version))
    if shared is None:
        shared = context.known[cipher, version] = {
            "server_cert": context.pem,
            "client_cert_chain": (),
            "client_cert_name": None,
            "client_cert_error": None,
            "tls_version": _VERSIONS.get(version),
            "cipher_suite": context.ciphers.get(cipher),
        }
    der = tls.getpeercert(binary_form=True)
    return shared if der is None else shared | _client(tls, der)


def _client(tls: ssl.SSLObject, der: bytes) -> Extension:
    chain = getattr(tls, "get_unverified_chain", lambda: [der])() or [der]
    try:
        name: str | None = read_der(der).subject
    except ValueError:  # OpenSSL trusts it, and yet it is malformed: then it has no name that could be told
        name = None
    return {"client_cert_chain": tuple(map(ssl.DER_cert_to_PEM_cert, chain)), "client_cert_name": name}
