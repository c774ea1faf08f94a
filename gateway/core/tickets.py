"""Tickets: a client's `Authorization` kept for one request that can't bring it, as a page's EventSource can't.

Rules:
* A ticket counts once, and for `LASTS` seconds.
* What it stands for is looked at when it is used, as if the client had sent it then: a ticket proves nothing by itself.
* An address has so many at once, and all of them so many bytes: who asks for more is refused, nobody loses one for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.codes import UNAUTHENTICATED
from gateway.core.credentials import MAX_TOKEN
from gateway.errors import ClientError

PARAMETER = b"live.ticket="
# Long enough to open what it is for over a bad line, and short enough that one in a log or a history is worth nothing.
LASTS = 30.0
# An office behind one address that comes back at once, and a hundredth of the memory that a gateway has.
MOST_OF_ADDRESS, MOST_BYTES = 1000, 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Ticket:
    """`until` is on the monotonic clock."""

    address: str
    credentials: bytes = field(repr=False)
    until: float


class Tickets:
    """Those that have not been used. Names are the caller's: chance comes from outside, and enough of it."""

    def __init__(self) -> None:
        self._tickets: dict[str, _Ticket] = {}  # in the order of their ends
        self._addresses: dict[str, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def __repr__(self) -> str:
        return f"<Tickets {len(self._tickets)} bytes={self._bytes}>"

    def issue(self, name: str, credentials: bytes, address: str, now: float) -> None:
        """Keep what a client of this address has sent as `Authorization`; raises ClientError."""
        self._sweep(now)
        if len(credentials) > MAX_TOKEN:
            raise ClientError(400, "bad_token", "the credentials are too long")
        if self._addresses.get(address, 0) >= MOST_OF_ADDRESS:
            raise _later(429, "too_many_tickets", "this address has too many tickets that were not used")
        if self._bytes + len(credentials) > MOST_BYTES:
            raise _later(503, "too_many_tickets", "there are too many tickets that were not used")
        self._tickets[name] = _Ticket(address, credentials, now + LASTS)
        self._addresses[address] = self._addresses.get(address, 0) + 1
        self._bytes += len(credentials)

    def use(self, name: str, now: float) -> bytes:
        """The credentials that it stands for, once; raises ClientError."""
        self._sweep(now)
        if name not in self._tickets:
            detail = "the ticket was used, or is too old, or never was one"
            raise ClientError(401, "bad_ticket", detail, close_code=UNAUTHENTICATED.code)
        return self._drop(name).credentials

    def _sweep(self, now: float) -> None:
        """Forget those that are too old."""
        while self._tickets:
            name = next(iter(self._tickets))
            if self._tickets[name].until > now:
                break
            self._drop(name)

    def _drop(self, name: str) -> _Ticket:
        ticket = self._tickets.pop(name)
        self._bytes -= len(ticket.credentials)
        self._addresses[ticket.address] -= 1
        if not self._addresses[ticket.address]:
            del self._addresses[ticket.address]
        return ticket


def _later(status: int, code: str, detail: str) -> ClientError:
    return ClientError(status, code, detail).with_headers((b"retry-after", b"%d" % LASTS))


def without_ticket(query: bytes) -> tuple[bytes, str | None]:
    """A query without its `live.ticket`, and that; raises ClientError where there is more than one."""
    pairs = query.split(b"&")
    tickets = [pair for pair in pairs if pair.startswith(PARAMETER)]
    if len(tickets) > 1:
        raise ClientError(400, "bad_ticket", "more than one live.ticket")
    rest = b"&".join(pair for pair in pairs if not pair.startswith(PARAMETER))
    return rest, tickets[0][len(PARAMETER) :].decode("latin-1") if tickets else None
