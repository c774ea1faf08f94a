"""How many connections each address has.

A client of IPv6 is its network of 64 bits, which is the least that anybody is given. What is kept is bounded by the
number of connections: an address without one is forgotten.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from gateway.core.asgi import Scope
from gateway.core.trust import Trusted


class Crowd:
    """Counts connections by who they are from; `most` for anyone who is not `exempt`."""

    __slots__ = ("_counts", "_exempt", "_most")

    def __init__(self, most: int, exempt: Trusted) -> None:
        self._counts: dict[str, int] = {}
        self._exempt = exempt
        self._most = most

    def __len__(self) -> int:
        return len(self._counts)

    def full(self, address: str) -> bool:
        """Whether this address has as many as it may."""
        return self._counts.get(client_of(address), 0) >= self._most and address not in self._exempt

    def enter(self, address: str) -> None:
        key = client_of(address)
        self._counts[key] = self._counts.get(key, 0) + 1

    def leave(self, address: str) -> None:
        key = client_of(address)
        left = self._counts.get(key, 0) - 1
        if left > 0:
            self._counts[key] = left
        else:
            self._counts.pop(key, None)


def address_of(scope: Scope) -> str:
    """Who asks, as `client_of` has it; empty where nobody can tell, as on a Unix socket."""
    client = scope.get("client")
    if client is None or client[1] is None:
        return ""
    try:
        return client_of(client[0])
    except ValueError:  # other servers may put names there
        return str(client[0])


def client_of(address: str) -> str:
    """The address of IPv4, also where a socket of IPv6 shows it; the network of an address of IPv6."""
    if ":" not in address:
        return address
    ip = IPv6Address(address)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(IPv6Address(int(ip) >> 64 << 64))
