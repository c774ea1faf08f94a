"""The load process of `fanout` and `memory`: opens the clients, publishes, counts, and measures the server.

`python -m benchmarks.load` reads a job from stdin. With phases it plays them and prints their outcomes;
without, it prints "held" and keeps the connections open until stdin ends.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Protocol

from benchmarks import procfs
from benchmarks.audience import Audience, request, upgraded
from benchmarks.frames import client_frame
from benchmarks.job import Entrance, Job, Outcome, Phase, dump, load_job
from benchmarks.processes import BenchmarkError, raise_file_limit

_STALL = 15.0  # seconds for one message to reach everyone, after which a measurement has failed


class Publisher:
    """Writes numbered messages of one size to a server's entrance."""

    def __init__(self, entrance: Entrance, size: int) -> None:
        self._framed = bool(entrance.path)
        self._size = size
        self._next = 0
        self._socket = _connect(entrance)

    def publish(self, count: int) -> None:
        self._socket.sendall(b"".join([self._message() for _ in range(count)]))

    def _message(self) -> bytes:
        self._next += 1
        payload = (b"%010d" % self._next).ljust(self._size, b".")
        return client_frame(payload) if self._framed else payload + b"\n"

    def discard(self) -> None:
        """Drop what the server answers to a publisher, so that it never waits for us."""
        try:
            while self._socket.recv(65536, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        self._socket.close()


def _connect(entrance: Entrance) -> socket.socket:
    """The entrance may open only when the first client is there: try until it does."""
    deadline = time.monotonic() + _STALL
    while True:
        try:
            publisher = _connect_once(entrance)
        except (ConnectionRefusedError, FileNotFoundError):
            if time.monotonic() > deadline:
                raise BenchmarkError("the server does not let anyone publish") from None
            time.sleep(0.05)
            continue
        if entrance.path:
            publisher.sendall(request(entrance.path))
            upgraded(publisher)
        return publisher


def _connect_once(entrance: Entrance) -> socket.socket:
    if not entrance.unix:
        publisher = socket.create_connection(("127.0.0.1", entrance.port))
        publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return publisher
    publisher = socket.socket(socket.AF_UNIX)
    try:
        publisher.connect(entrance.unix)
    except OSError:
        publisher.close()
        raise
    return publisher


class Publishing(Protocol):
    """What `Play` needs of a `Publisher`."""

    def publish(self, count: int) -> None: ...

    def discard(self) -> None: ...


class Play:
    """Messages through one server to one audience, each to so many `receivers`, within a window."""

    def __init__(self, audience: Audience, publisher: Publishing, receivers: int) -> None:
        self.receivers = receivers
        self._audience = audience
        self._publisher = publisher
        self.rounds: list[float] = []

    def run(self, messages: int, window: int, seconds: float, pause: float = 0.0) -> int:
        """Publish until `messages` or `seconds` are over; returns how many everyone has received."""
        audience, published, reached = self._audience, 0, 0
        audience.reset()
        self.rounds = []
        end = time.monotonic() + seconds
        while reached < published or (published < messages and time.monotonic() < end):
            room = min(window - (published - reached), messages - published)
            if room > 0 and time.monotonic() < end:
                time.sleep(pause)
                self._publisher.publish(room)
                published += room
                began = time.perf_counter()
            reached = self._wait(reached)
            self.rounds.append((time.perf_counter() - began) * 1000)
            self._publisher.discard()
        self._check(published)
        return published

    def _check(self, published: int) -> None:
        if self._audience.most != published:
            raise BenchmarkError(f"{published} messages were published and a client received {self._audience.most}")

    def _wait(self, reached: int) -> int:
        """Until everyone has at least one more message."""
        audience = self._audience
        self._until(
            lambda: audience.total >= (reached + 1) * self.receivers and audience.least > reached,
            reached,
        )
        return audience.least

    def _until(self, there: Callable[[], bool], reached: int) -> None:
        deadline = time.monotonic() + _STALL
        while not there():
            self._audience.pump(1.0)
            if time.monotonic() > deadline:
                raise BenchmarkError(f"message {reached + 1} did not reach everyone")


def measure(job: Job, phase: Phase, play: Play, audience: Audience) -> Outcome:
    """Warm up, then play a phase between two readings of the server's processor time."""
    play.run(phase.warmup, phase.window, job.seconds)
    server, client, began = procfs.cpu_ns(job.server), time.process_time_ns(), time.perf_counter()
    messages = play.run(phase.messages, phase.window, job.seconds, phase.pause)
    seconds, client = time.perf_counter() - began, time.process_time_ns() - client
    server = procfs.cpu_ns(job.server) - server
    rounds = sorted(play.rounds)
    return Outcome(
        phase=phase.name,
        messages=messages,
        deliveries=messages * play.receivers,
        seconds=seconds,
        server_ns=server,
        client_ns=client,
        wire_bytes=audience.bytes,
        p50_ms=rounds[len(rounds) // 2],
        p99_ms=rounds[len(rounds) * 99 // 100],
    )


def fan_out(job: Job) -> list[Outcome]:
    """All phases, with the same connections."""
    if job.entrance is None:
        raise BenchmarkError("phases need somewhere to publish")
    with Audience(job.port, job.path, job.clients, job.transport, job.stalled) as audience:
        publisher = Publisher(job.entrance, job.size)
        audience.settle()
        play = Play(audience, publisher, job.clients)
        outcomes = [measure(job, phase, play, audience) for phase in job.phases]
        publisher.close()
    return outcomes


def hold(job: Job) -> None:
    """Keep the connections open until stdin ends."""
    with Audience(job.port, job.path, job.clients) as audience:
        audience.settle()
        print("held", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            audience.pump(0.1)


def main() -> None:
    raise_file_limit()
    job = load_job(sys.stdin.readline())
    try:
        if job.phases:
            print(dump(fan_out(job)), flush=True)
        else:
            hold(job)
    except (BenchmarkError, OSError) as error:
        sys.exit(f"load: {error}")


if __name__ == "__main__":
    main()
