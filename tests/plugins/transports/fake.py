"""The gateway's side of a transport: a connection that records what is asked of it."""

from __future__ import annotations

from gateway.plugin import Codec, Collected, Context, Disconnect, Encoding, Event, Headers, Json, Position, Request
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock


def context() -> Context:
    clock = ManualClock()
    codecs: dict[str, Codec] = {}
    for name, found in find("codecs").items():
        plugin = found.load()
        codecs[name] = plugin.make(plugin.options(), Context(clock=clock))  # type: ignore[assignment]
    return Context(clock=clock, codecs=codecs)


def request(
    kind: str = "http",
    method: str = "GET",
    accept: str = "",
    subprotocols: tuple[str, ...] = (),
    prefer: str = "",
    wait: str | None = None,
) -> Request:
    headers = {b"accept": accept.encode(), b"prefer": prefer.encode()}
    return Request(
        kind=kind,
        method=method,
        target=b"/x",
        headers=tuple((name, value) for name, value in headers.items() if value),
        params={},
        options={"live.wait": wait} if wait is not None else {},
        subprotocols=subprotocols,
    )


class FakeConnection:
    """`script` is what the client says before it goes."""

    def __init__(self, request: Request, *script: str | bytes) -> None:
        self.request = request
        self.accepted: list[str | None] = []
        self.responded: list[tuple[int, Headers]] = []
        self.encoding: Encoding | None = None
        self.preamble = b""
        self.disconnected: list[Disconnect] = []
        self.events: list[Event] = []  # for a poll
        self.waited: float | None = None
        self.answered: list[tuple[int, Headers, bytes]] = []
        self._script = list(script)

    async def accept(self, subprotocol: str | None) -> None:
        self.accepted.append(subprotocol)

    async def respond(self, status: int, headers: Headers) -> None:
        self.responded.append((status, headers))

    def deliver(self, encoding: Encoding, *, preamble: bytes = b"") -> None:
        self.encoding, self.preamble = encoding, preamble

    async def collect(self, encoding: Encoding, wait: float) -> Collected:
        self.waited = wait
        return Collected(b"".join(map(encoding.encode, self.events)), Position("e", 7))

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.answered.append((status, headers, body))

    async def receive(self) -> str | bytes | None:
        return self._script.pop(0) if self._script else None

    def disconnect(self, disconnect: Disconnect) -> None:
        self.disconnected.append(disconnect)


def event(data: Json, **more: object) -> Event:
    return Event(type="updated", data=data, **more)  # type: ignore[arg-type]
