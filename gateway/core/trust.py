"""Which peers are believed about the client behind them, and what they say of it.

`X-Forwarded-For`, `-Proto` and `-Host`, or where none of these is there RFC 7239's `Forwarded`, read from right to
left: what a trusted proxy wrote is believed, and so is what it says of the one before it as long as that one is
trusted, too. What cannot be read ends it: the client is then the last address that could.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from gateway.core.asgi import Headers, Scope

LOCAL = "unix"  # in place of an address: whoever connects by a unix socket

_KNOWN = 1024  # addresses that are remembered; there are fewer proxies than that
# No chain of proxies is that long; what a client wrote before it needs no reading.
_HOPS = 32
_LONGEST = 64  # an address in brackets with zone and port

_SCHEMES = {"http": False, "https": True, "ws": False, "wss": True}
_HOST = re.compile(r"[0-9A-Za-z._~\-\[\]:]{1,255}", re.ASCII)
_PAIR = re.compile(r"[ \t]*([0-9A-Za-z!#$%&'*+.^_`|~-]+)=([^\s\",;=]+|\"(?:[^\"\\]|\\.)*\")[ \t]*", re.ASCII)
_SEPARATORS = ("", ",", ";")
_LISTS = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy says of who connected to it; empty where it says nothing."""

    client: str = ""
    proto: str = ""
    host: str = ""


class Trusted:
    """The peers that are believed: networks such as `10.0.0.0/8`, and `unix`."""

    __slots__ = ("_known", "_local", "_networks")

    def __init__(self, peers: Iterable[str]) -> None:
        peers = tuple(peers)
        self._local = LOCAL in peers
        self._networks = tuple(ip_network(peer) for peer in peers if peer != LOCAL)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return self._local or bool(self._networks)

    def __contains__(self, address: object) -> bool:
        """Whether an address, or `unix`, is among them."""
        if address == LOCAL:
            return self._local
        if not isinstance(address, str):
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[address] = self._holds(address)
        return known

    def _holds(self, address: str) -> bool:
        try:
            ip = ip_address(_plain(address))
        except ValueError:
            return False
        return any(ip in network for network in self._networks if network.version == ip.version)


def peer(scope: Scope) -> str | None:
    """The address of who is connected, or `unix`; None when nobody can tell."""
    server, client = scope.get("server"), scope.get("client")
    if server is not None and server[1] is None:
        return LOCAL
    return client[0] if client is not None else None


def believe(scope: Scope, trusted: Trusted) -> None:
    """Put what trusted proxies say in place of what the connection says: client, scheme, and the host to tell of."""
    begin = peer(scope)
    if begin not in trusted:
        return
    hops = _hops(scope["headers"])
    found = _found(hops, trusted)
    if found is None:
        return
    if found.client:
        scope["client"] = (found.client, 0)
    secure = _SCHEMES.get(found.proto.lower())
    if secure is not None:
        plain = "ws" if scope["type"] == "websocket" else "http"
        scope["scheme"] = f"{plain}s" if secure else plain
    if _HOST.fullmatch(found.host):
        scope["tidegate.host"] = found.host.encode()


def _found(hops: list[Hop], trusted: Trusted) -> Hop | None:
    """The hop that tells of the client: the leftmost that only trusted proxies have handed on."""
    found = None
    for hop in reversed(hops):
        address = node(hop.client)
        if hop.client and not address:
            break
        found = Hop(address, hop.proto, hop.host)
        if address not in trusted:
            break
    return found


def _hops(headers: Headers) -> list[Hop]:
    told: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name == b"forwarded" or name in _LISTS:
            told.setdefault(name, []).append(value.decode("latin-1"))
    if told.keys() == {b"forwarded"}:
        return parse_forwarded(",".join(told[b"forwarded"]))[-_HOPS:]
    return _combined(*(_listed(told.get(name, [])) for name in _LISTS))


def _listed(values: list[str]) -> list[str]:
    return [item.strip(" \t") for item in ",".join(values).rsplit(",", _HOPS)[-_HOPS:]] if values else []


def _combined(clients: list[str], protos: list[str], hosts: list[str]) -> list[Hop]:
    """One hop for each client; of a list that is not as long only the last item is sure, the nearest proxy's."""
    count = max(len(clients), 1)
    lists = [items if len(items) == count else (items[-1:] or [""]) * count for items in (clients, protos, hosts)]
    return [Hop(*told) for told in zip(*lists, strict=True)] if clients or protos or hosts else []


def parse_forwarded(value: str) -> list[Hop]:
    """RFC 7239 section 4; nothing when it is malformed anywhere, as no part of it can then be told from another."""
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while at < len(value):
        match = _PAIR.match(value, at)
        if match is None or value[match.end() : match.end() + 1] not in _SEPARATORS:
            return []
        name, text = match[1].lower(), match[2]
        if name in pairs:
            return []
        pairs[name] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
        at = match.end() + 1
        if value[match.end() : at] != ";":
            hops.append(Hop(pairs.get("for", ""), pairs.get("proto", ""), pairs.get("host", "")))
            pairs = {}
    return [] if pairs or value.endswith((",", ";")) else hops


def node(text: str) -> str:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`; empty for anything else."""
    if len(text) > _LONGEST:
        return ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        good = bool(bracket) and ":" in host and (not rest or rest[0] == ":")
    else:
        host = text.partition(":")[0] if text.count(":") == 1 else text
        good = True
    try:
        return str(ip_address(_plain(host))) if good else ""
    except ValueError:
        return ""


def _plain(address: str) -> str:
    """An IPv4 address that a socket of IPv6 shows, as itself; without a zone."""
    address = address.partition("%")[0]
    if not address.startswith("::"):
        return address
    mapped = IPv6Address(address).ipv4_mapped
    return str(mapped) if mapped is not None else address
