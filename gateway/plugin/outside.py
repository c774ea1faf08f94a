"""Servers outside of the gateway that a plugin's own configuration names by a URL: keys, tokens, answers."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def outside_url(url: str, *, example: str, risk: str) -> str:
    """The URL, if it is one to ask a server at; raises ValueError.

    `example` is one that is right, `risk` what happens where others can listen or answer: only this machine itself is
    asked without TLS.
    """
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018 - it is read to see that it can be
    except ValueError:
        raise ValueError("not a URL: its port is no port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError(f"expected a URL, as in {example}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(risk)
    return url


def origin_and_target(url: str) -> tuple[str, bytes]:
    """What `Context.upstream_at` is given for a URL, and what to ask there."""
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{parts.scheme}://{parts.netloc}", (f"{path}?{parts.query}" if parts.query else path).encode()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
