"""The certificate files that a configuration names: there, readable, and belonging together."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from gateway.config.tree import Finding, Path, Tree, Value, listing, mapping


def tls_files_load(tree: Tree) -> Iterator[Finding]:
    for index, listener in enumerate(listing(tree.value.get("listen"))):
        yield from _pair(tree, ("listen", index, "tls"), mapping(mapping(listener).get("tls")))
    for name, upstream in mapping(tree.value.get("upstreams")).items():
        yield from _upstream_tls(tree, ("upstreams", name), mapping(upstream))


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
    ca = tls.get("ca")
    if isinstance(ca, str) and ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        file = tree.beside((*here, "ca"), ca)
        yield from _loads((*here, "ca"), partial(context.load_verify_locations, file))


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
