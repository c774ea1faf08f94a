"""What a load process is asked to do and what it answers; both travel as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where messages are published: a loopback port or a Unix socket.

    With a `path` it is a WebSocket that takes one message a frame; without, a stream that takes one a line.
    """

    port: int = 0
    unix: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`messages` to everyone, of which at most `window` may be on their way: 1 is one at a time.

    `pause` seconds of quiet go before each round.
    """

    name: str
    messages: int
    window: int
    warmup: int
    pause: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`size` bytes are published each time; an empty `path` means bare TCP clients; `server` is a process id.

    `stalled` clients beside the others never read. With `channels`, clients are sessions that follow `each` of them.
    """

    port: int
    path: str
    server: int
    clients: int
    entrance: Entrance | None = None
    size: int = 0
    phases: tuple[Phase, ...] = ()
    seconds: float = 60.0
    transport: str = "websocket"
    stalled: int = 0
    channels: int = 0
    each: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One phase: every client had every message, or there would be no outcome."""

    phase: str
    messages: int
    deliveries: int
    seconds: float
    server_ns: int
    client_ns: int
    wire_bytes: int
    p50_ms: float
    p99_ms: float

    @property
    def us_per_delivery(self) -> float:
        """Server processor time."""
        return self.server_ns / self.deliveries / 1000

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.seconds


def dump(value: Job | list[Outcome]) -> str:
    """One line."""
    return json.dumps(asdict(value) if isinstance(value, Job) else [asdict(each) for each in value])


def load_job(line: str) -> Job:
    """Read what `dump` made of a job."""
    fields = json.loads(line)
    entrance = fields.pop("entrance")
    phases = tuple(Phase(**phase) for phase in fields.pop("phases"))
    return Job(**fields, entrance=Entrance(**entrance) if entrance else None, phases=phases)


def load_outcomes(line: str) -> list[Outcome]:
    """Read what `dump` made of outcomes."""
    return [Outcome(**fields) for fields in json.loads(line)]
