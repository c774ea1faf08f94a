"""Certificates as their files are, chosen by name, and what an application is told; without sockets."""

from __future__ import annotations

import logging
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from gateway.core.settings import CertificateFiles, Listen, ServerTls
from gateway.core.stats import TLS_FAILURES, TlsStats
from gateway.wire import tls as module
from gateway.wire.tls import ALPN, Certificates, extension, reason


def write(folder: Path, issued: trustme.LeafCert) -> CertificateFiles:
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    return CertificateFiles(cert=str(folder / "cert.pem"), key=str(folder / "key.pem"))


def served(tls: ServerTls, stats: TlsStats | None = None) -> Certificates:
    return Certificates(Listen(address="a:1", tls=tls), tls, stats or TlsStats())


class Both:
    """A handshake in memory: `client` and `server` are its two ends."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, host: str | None = "shop.example") -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(down, up, server_hostname=host)
        self.server = server.wrap_bio(up, down, server_side=True)
        waiting = [self.client, self.server]
        for _ in range(10):
            for end in list(waiting):
                try:
                    end.do_handshake()
                    waiting.remove(end)
                except ssl.SSLWantReadError:
                    pass
        assert not waiting

    @property
    def name(self) -> str:
        """The first name of the certificate that the client was shown."""
        shown = self.client.getpeercert()
        assert shown is not None
        return str(shown["subjectAltName"][0][1])


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture
def plain(trust: ssl.SSLContext) -> ssl.SSLContext:
    trust.check_hostname = False
    return trust


@pytest.fixture
def several(authority: trustme.CA, tmp_path: Path) -> ServerTls:
    first = write(tmp_path / "first", authority.issue_cert("shop.example"))
    second = write(tmp_path / "second", authority.issue_cert("api.example", "*.api.example", "shop.example"))
    return ServerTls(cert=first.cert, key=first.key, sni=(second,))


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("shop.example", "shop.example"),
        ("api.example", "api.example"),
        ("one.api.example", "api.example"),
        ("other.example", "shop.example"),
        (None, "shop.example"),
    ],
)
def test_the_certificate_for_a_name(several: ServerTls, plain: ssl.SSLContext, host: str | None, shown: str) -> None:
    assert Both(served(several).context, plain, host).name == shown


def test_protocols_and_ciphers(several: ServerTls, trust: ssl.SSLContext) -> None:
    context = served(several).context
    for version, cipher in ((ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"), (ssl.TLSVersion.TLSv1_3, None)):
        trust.minimum_version = trust.maximum_version = version
        if cipher is not None:
            trust.set_ciphers(cipher)
        both = Both(context, trust)
        assert both.client.selected_alpn_protocol() == "http/1.1"
        assert cipher is None or both.client.cipher()[0] == cipher  # type: ignore[index]
    weak = ("CBC", "RC4", "3DES", "NULL", "EXPORT", "MD5")
    for known in context.get_ciphers():
        assert known["strength_bits"] >= 128
        assert not any(word in known["name"] for word in weak)
        assert known["kea"] in ("kx-ecdhe", "kx-any")
    assert ALPN == ["h2", "http/1.1"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_protocol_is_refused(several: ServerTls, plain: ssl.SSLContext) -> None:
    plain.minimum_version = ssl.TLSVersion.TLSv1
    plain.set_ciphers("ALL:@SECLEVEL=0")
    plain.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError) as caught:
        Both(served(several).context, plain)
    assert reason(caught.value) == "old_protocol"


def test_no_cipher_in_common(several: ServerTls, plain: ssl.SSLContext) -> None:
    plain.maximum_version = ssl.TLSVersion.TLSv1_2
    plain.set_ciphers("AES128-SHA")
    with pytest.raises(ssl.SSLError) as caught:
        Both(served(several).context, plain)
    assert reason(caught.value) == "no_shared_cipher"


# Files that change.


def test_new_files_are_taken(several: ServerTls, authority: trustme.CA, plain: ssl.SSLContext, tmp_path: Path) -> None:
    stats = TlsStats()
    certificates = served(several, stats)
    open_already = Both(certificates.context, plain)
    certificates.refresh()
    assert dict(stats.reloads) == {}
    end = datetime(2040, 1, 1, tzinfo=UTC)
    write(tmp_path / "first", authority.issue_cert("new.example", not_after=end))
    assert Both(certificates.context, plain).name == "shop.example"  # not before the refresh
    certificates.refresh()
    assert Both(certificates.context, plain, "new.example").name == "new.example"
    assert Both(certificates.context, plain, "one.api.example").name == "api.example"
    assert dict(stats.reloads) == {"ok": 1}
    assert stats.not_after[several.cert] == end.timestamp()
    assert set(stats.not_after) == {several.cert, several.sni[0].cert}
    open_already.server.write(b"still here")
    assert open_already.client.read() == b"still here"


def test_a_link_that_moves(authority: trustme.CA, plain: ssl.SSLContext, tmp_path: Path) -> None:
    """As Kubernetes does: the files are links through `..data`, which is replaced by a new link."""
    for name in ("one", "two"):
        write(tmp_path / name, authority.issue_cert(f"{name}.example"))
        for file in ("cert.pem", "key.pem"):
            os.utime(tmp_path / name / file, (1_000_000_000, 1_000_000_000))
    (tmp_path / "..data").symlink_to("one")
    for file in ("cert.pem", "key.pem"):
        (tmp_path / file).symlink_to(f"..data/{file}")
    certificates = served(ServerTls(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem")))
    assert Both(certificates.context, plain).name == "one.example"
    (tmp_path / "..new").symlink_to("two")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    certificates.refresh()
    assert Both(certificates.context, plain).name == "two.example"


@pytest.mark.parametrize("broken", ["junk", "key", "gone", "expired", "second"])
def test_broken_files_change_nothing(
    broken: str,
    several: ServerTls,
    authority: trustme.CA,
    plain: ssl.SSLContext,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats = TlsStats()
    certificates = served(several, stats)
    before = dict(stats.not_after)
    new = authority.issue_cert("new.example")
    if broken == "junk":
        Path(several.cert).write_text("junk")
    elif broken == "key":  # the certificate is there already, its key is not
        Path(several.cert).write_bytes(new.cert_chain_pems[0].bytes())
    elif broken == "gone":
        Path(several.cert).unlink()
    elif broken == "expired":
        write(tmp_path / "first", authority.issue_cert("new.example", not_after=datetime(2020, 1, 1, tzinfo=UTC)))
    else:
        write(tmp_path / "first", new)
        Path(several.sni[0].key).write_text("junk")
    for _ in range(3):
        certificates.refresh()
    assert Both(certificates.context, plain).name == "shop.example"
    assert dict(stats.reloads) == {"failed": 1}
    assert stats.not_after == before
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "a:1" in caplog.text
    write(tmp_path / "first", new)
    write(tmp_path / "second", authority.issue_cert("api.example"))
    certificates.refresh()
    assert Both(certificates.context, plain).name == "new.example"
    assert dict(stats.reloads) == {"failed": 1, "ok": 1}


def test_files_that_were_wrong_and_are_as_before(several: ServerTls, tmp_path: Path) -> None:
    """The same file again, as a rename back gives: the trouble is over."""
    stats = TlsStats()
    certificates = served(several, stats)
    os.rename(several.key, tmp_path / "aside")
    certificates.refresh()
    os.rename(tmp_path / "aside", several.key)
    certificates.refresh()
    certificates.refresh()
    assert dict(stats.reloads) == {"failed": 1, "ok": 1}


def test_files_that_are_wrong_at_the_start(several: ServerTls, authority: trustme.CA, tmp_path: Path) -> None:
    Path(several.key).write_text("junk")
    with pytest.raises(OSError, match=r"."):
        served(several)


OLD = datetime(2020, 1, 1, tzinfo=UTC)


def test_an_expired_certificate_is_served_and_told_of(
    several: ServerTls,
    authority: trustme.CA,
    plain: ssl.SSLContext,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / "first", authority.issue_cert("old.example", not_after=OLD))
    stats = TlsStats()
    certificates = served(several, stats)
    plain.verify_mode = ssl.CERT_NONE
    assert Both(certificates.context, plain).server.version()
    assert stats.not_after[several.cert] == OLD.timestamp()
    for _ in range(3):
        certificates.refresh()
    [record] = caplog.records
    words = f"clients of a:1 will refuse {several.cert}: the certificate expired on 2020-01-01 00:00 UTC"
    assert (record.levelno, record.getMessage()) == (logging.ERROR, words)
    write(tmp_path / "second", authority.issue_cert("other.example"))  # is not kept back by the first
    certificates.refresh()
    assert dict(stats.reloads) == {"ok": 1}
    plain.verify_mode = ssl.CERT_REQUIRED
    assert Both(certificates.context, plain, "other.example").name == "other.example"


def test_a_certificate_that_expires_while_it_is_served(
    several: ServerTls,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    soon = datetime(2040, 1, 1, tzinfo=UTC)
    write(tmp_path / "first", authority.issue_cert("a.example", not_after=soon))
    certificates = served(several)
    certificates.refresh()
    assert not caplog.records
    monkeypatch.setattr("gateway.wire.tls.time.time", lambda: soon.timestamp() + 1)
    certificates.refresh()
    certificates.refresh()
    assert [
        record.getMessage().partition(several.cert)[2]
        for record in caplog.records
        if several.cert in record.getMessage()
    ] == [": the certificate expired on 2040-01-01 00:00 UTC"]


# What is told.


def test_a_connection_without_a_client_certificate(several: ServerTls, trust: ssl.SSLContext) -> None:
    context = served(several).context
    told = extension(Both(context, trust).server)
    assert told == {
        "server_cert": ssl.DER_cert_to_PEM_cert(
            ssl.PEM_cert_to_DER_cert(module._first(Path(several.cert).read_text()))
        ),
        "client_cert_chain": (),
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1302,
    }
    assert extension(Both(context, trust).server) is told
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    trust.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
    other = extension(Both(context, trust).server)
    assert (other["tls_version"], other["cipher_suite"]) == (0x0303, 0xCCA9)


@pytest.fixture
def known(several: ServerTls, authority: trustme.CA, tmp_path: Path) -> ServerTls:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return ServerTls(cert=several.cert, key=several.key, client_ca=str(tmp_path / "ca.pem"))


def test_a_client_certificate(known: ServerTls, authority: trustme.CA, trust: ssl.SSLContext) -> None:
    issued = authority.issue_cert("device-7", common_name="device 7")
    issued.configure_cert(trust)
    told = extension(Both(served(known).context, trust).server)
    assert str(told["client_cert_name"]).startswith("CN=device 7,")
    chain = told["client_cert_chain"]
    assert isinstance(chain, tuple)
    assert ssl.PEM_cert_to_DER_cert(chain[0]) == ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def test_a_client_without_a_certificate(known: ServerTls, plain: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        Both(served(known).context, plain)
    assert reason(caught.value) == "no_client_certificate"
    optional = ServerTls(cert=known.cert, key=known.key, client_ca=known.client_ca, client_cert="optional")
    assert extension(Both(served(optional).context, plain).server)["client_cert_name"] is None


def test_a_certificate_of_nobody_we_know(known: ServerTls, plain: ssl.SSLContext) -> None:
    trustme.CA().issue_cert("device").configure_cert(plain)
    for client_cert in ("required", "optional"):
        tls = ServerTls(cert=known.cert, key=known.key, client_ca=known.client_ca, client_cert=client_cert)
        with pytest.raises(ssl.SSLError) as caught:
            Both(served(tls).context, plain)
        assert reason(caught.value) == "client_certificate"


def test_authorities_are_reread_as_well(known: ServerTls, plain: ssl.SSLContext) -> None:
    stranger = trustme.CA()
    stranger.issue_cert("device").configure_cert(plain)
    certificates = served(known)
    assert known.client_ca is not None
    stranger.cert_pem.write_to_path(known.client_ca)
    certificates.refresh()
    assert extension(Both(certificates.context, plain).server)["client_cert_name"] is not None


def test_every_reason_has_its_label() -> None:
    assert set(module._REASONS.values()) < TLS_FAILURES
    alert, strange = ssl.SSLError(1, "x"), ssl.SSLError(1, "y")
    alert.reason, strange.reason = "TLSV1_ALERT_UNKNOWN_CA", "SOMETHING"
    for error, label in (
        (alert, "client_alert"),
        (strange, "other"),
        (TimeoutError(), "timeout"),
        (ConnectionAbortedError("SSL handshake is taking longer than 10 s"), "timeout"),
        (ConnectionResetError(), "disconnected"),
        (OSError(), "disconnected"),
    ):
        assert reason(error) == label
        assert label in TLS_FAILURES
