"""The certificate files that a configuration names: there, readable, belonging together, and valid today.

The last is a question of its own: a gateway must not fail to start again because a day has passed.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec

from gateway.config.tree import Finding, Path, Tree, Value, listing, mapping
from gateway.core.certificate import read_certificate


def tls_files_load(tree: Tree) -> Iterator[Finding]:
    for index, listener in enumerate(listing(tree.value.get("listen"))):
        yield from _listener_tls(tree, ("listen", index, "tls"), mapping(mapping(listener).get("tls")))
    for name, upstream in mapping(tree.value.get("upstreams")).items():
        yield from _upstream_tls(tree, ("upstreams", name), mapping(upstream))


def valid_today(tree: Tree) -> Iterator[Finding]:
    """Certificates that have expired, or are not valid yet; `tls_files_load` tells what else is wrong with them."""
    for path, file in _certificates(tree):
        try:
            with open(tree.beside(path, file), "rb") as opened:
                fault = read_certificate(opened.read()).fault(time.time())
        except (OSError, ValueError):
            continue
        if fault:
            yield path, fault


def _certificates(tree: Tree) -> Iterator[tuple[Path, str]]:
    for index, listener in enumerate(listing(tree.value.get("listen"))):
        tls, here = mapping(mapping(listener).get("tls")), ("listen", index, "tls")
        yield from _certificate(here, tls)
        for number, pair in enumerate(listing(tls.get("sni"))):
            yield from _certificate((*here, "sni", number), mapping(pair))
    for name, upstream in mapping(tree.value.get("upstreams")).items():
        yield from _certificate(("upstreams", name, "tls"), mapping(mapping(upstream).get("tls")))


def _certificate(path: Path, tls: Mapping[str, Value]) -> Iterator[tuple[Path, str]]:
    cert = tls.get("cert")
    if isinstance(cert, str) and cert:
        yield (*path, "cert"), cert


def _listener_tls(tree: Tree, path: Path, tls: Mapping[str, Value]) -> Iterator[Finding]:
    yield from _pair(tree, path, tls)
    for number, pair in enumerate(listing(tls.get("sni"))):
        yield from _pair(tree, (*path, "sni", number), mapping(pair))
        yield from _names(tree, (*path, "sni", number, "cert"), mapping(pair).get("cert"))
    yield from _authorities(tree, (*path, "client_ca"), tls.get("client_ca"))
    if "client_cert" in tls and "client_ca" not in tls:
        yield (*path, "client_cert"), "needs client_ca beside it: whose certificates are asked for"


def _upstream_tls(tree: Tree, path: Path, upstream: Mapping[str, Value]) -> Iterator[Finding]:
    if "tls" not in upstream:
        return
    url, tls, here = upstream.get("url"), mapping(upstream["tls"]), (*path, "tls")
    if isinstance(url, str) and url.lower().startswith("http:"):
        yield here, "the url begins with http: tls is for https"
    for one, other in (("cert", "key"), ("key", "cert")):
        if one in tls and other not in tls:
            yield (*here, one), f"{one} needs {other} beside it"
    yield from _pair(tree, here, tls)
    yield from _authorities(tree, (*here, "ca"), tls.get("ca"))


def _authorities(tree: Tree, path: Path, file: Value) -> Iterator[Finding]:
    if isinstance(file, str) and file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        yield from _loads(path, partial(context.load_verify_locations, tree.beside(path, file)))


def _pair(tree: Tree, path: Path, tls: Mapping[str, Value]) -> Iterator[Finding]:
    cert, key = tls.get("cert"), tls.get("key")
    if not (isinstance(cert, str) and isinstance(key, str) and cert and key):
        return
    files = {name: tree.beside((*path, name), value) for name, value in (("cert", cert), ("key", key))}
    missing = [finding for name, file in files.items() for finding in _loads((*path, name), partial(_open, file))]
    yield from missing
    if not missing:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load = partial(context.load_cert_chain, files["cert"], files["key"], _no_password)
        yield from _loads((*path, "cert"), load)


def _names(tree: Tree, path: Path, file: Value) -> Iterator[Finding]:
    """A certificate that is chosen by its names has some; what else is wrong with it has been told."""
    if not isinstance(file, str) or not file:
        return
    try:
        with open(tree.beside(path, file), "rb") as opened:
            if not read_certificate(opened.read()).names:
                yield path, "this certificate has no DNS name (subjectAltName), so nobody can ask for it"
    except (OSError, ValueError):
        pass


def _open(file: str) -> None:
    with open(file, "rb"):
        pass


def _no_password() -> str:
    raise ValueError("the private key is encrypted: decrypt it, and let the file's permissions guard it")


def _loads(path: Path, load: Callable[[], None]) -> Iterator[Finding]:
    try:
        load()
    except ssl.SSLError as error:
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        yield path, f"this file does not hold what it should, or not the key of the certificate: {reason}"
    except OSError as error:
        yield path, f"cannot read this file: {error.strerror}"
    except ValueError as error:
        yield path, str(error)


def http3_is_possible(tree: Tree) -> Iterator[Finding]:
    """It needs an extra, TLS, and a listener where everything that the others can do is possible over UDP, too."""
    for index, value in enumerate(listing(tree.value.get("listen"))):
        listener = mapping(value)
        if listener.get("http3") is not True:
            continue
        path: Path = ("listen", index, "http3")
        if find_spec("aioquic") is None:
            yield path, "HTTP/3 is an extra that is not installed: pip install 'tidegate[h3]'"
        if "tls" not in listener:
            yield path, "HTTP/3 needs tls beside it: there is none without"
        keys = {*listener, *mapping(listener.get("tls"))}
        yield from ((path, why) for key, why in _NOT_OVER_UDP if key in keys)


_NOT_OVER_UDP = (
    ("client_ca", "HTTP/3 asks no client for a certificate, so client_ca would be evaded: use another address"),
    ("sni", "HTTP/3 has one certificate for everybody: put all names into it, or use another address"),
    ("proxy_protocol", "HTTP/3 knows no PROXY protocol: clients would seem to be the proxy"),
)
