"""The load process of `latency --from webhook`: sessions that follow a channel, and the sender of signed deliveries.

`python -m benchmarks.load_webhooks` reads a job from stdin, plays its phases and prints their outcomes, and one more:
as many deliveries ten times over, that nobody follows the messages of.
"""

from __future__ import annotations

import json
import sys
import time
from hashlib import sha256
from hmac import digest
from socket import MSG_DONTWAIT, create_connection

from benchmarks import procfs
from benchmarks.audience import Audience
from benchmarks.frames import client_frame
from benchmarks.job import Entrance, Job, Outcome, Phase, dump, load_job
from benchmarks.load import Play, measure
from benchmarks.ours import WEBHOOK_SECRET
from benchmarks.processes import BenchmarkError, raise_file_limit

ALONE = "followed by nobody"
_PATIENCE = 60.0  # seconds for all subscriptions
_MORE = 10
_CHUNK = 65536
_GOOD = b"HTTP/1.1 200 "


class Sender:
    """Posts deliveries over one connection, signed as GitHub does; `channel` is where they are published."""

    def __init__(self, entrance: Entrance, size: int, channel: str) -> None:
        self._socket = create_connection(("127.0.0.1", entrance.port))
        self._head = f"POST {entrance.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
        self._body = {"channel": channel, "text": "." * size}
        self._number = 0
        self._answers = b""
        self.good = 0

    def publish(self, count: int) -> None:
        self._socket.sendall(b"".join([self._delivery() for _ in range(count)]))

    def discard(self) -> None:
        """Count the answers that are there."""
        try:
            while True:
                self._read(MSG_DONTWAIT)
        except BlockingIOError:
            return

    def one(self) -> None:
        """Post one and wait for its answer."""
        wanted = self.good + 1
        self.publish(1)
        while self.good < wanted:
            self._read(0)

    def close(self) -> None:
        self._socket.close()

    def _read(self, flags: int) -> None:
        data = self._socket.recv(_CHUNK, flags)
        if not data:
            raise BenchmarkError("the server closed the sender's connection")
        data = self._answers + data
        self.good += data.count(_GOOD)
        self._answers = data[len(data) - len(_GOOD) + 1 :]
        if data.count(b"HTTP/1.1 ") > data.count(_GOOD):
            raise BenchmarkError(f"a delivery was refused: {data[:200]!r}")

    def _delivery(self) -> bytes:
        self._number += 1
        body = json.dumps({**self._body, "number": self._number}).encode()
        signature = digest(WEBHOOK_SECRET.encode(), body, sha256).hex()
        lines = f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return self._head + lines + body


def subscribe(audience: Audience, channel: str) -> None:
    """Let everyone follow it."""
    audience.write(client_frame(b'{"op":"subscribe","id":1,"channel":"%b"}' % channel.encode()), audience.everyone)
    deadline = time.monotonic() + _PATIENCE
    while audience.least < 2:  # hello and an answer
        audience.pump(1.0)
        if time.monotonic() > deadline:
            raise BenchmarkError("not everyone could subscribe")


def fan_out(job: Job, entrance: Entrance) -> list[Outcome]:
    """All phases, with the same connections, and the deliveries alone."""
    with Audience(job.port, job.path, job.clients) as audience:
        subscribe(audience, "news")
        sender = Sender(entrance, job.size, "news")
        play = Play(audience, sender, job.clients)
        outcomes = [measure(job, phase, play, audience) for phase in job.phases]
        sender.close()
    return [*outcomes, *(alone(job, phase, entrance) for phase in job.phases)]


def alone(job: Job, phase: Phase, entrance: Entrance) -> Outcome:
    """One delivery after the other; what is measured is the server's processor time for each."""
    sender = Sender(entrance, job.size, "nobody")
    for _ in range(phase.warmup):
        sender.one()
    count, times = phase.messages * _MORE, list[float]()
    server, client, began = procfs.cpu_ns(job.server), time.process_time_ns(), time.perf_counter()
    for _ in range(count):
        sent = time.perf_counter()
        sender.one()
        times.append((time.perf_counter() - sent) * 1000)
    took, server = time.perf_counter() - began, procfs.cpu_ns(job.server) - server
    sender.close()
    times.sort()
    return Outcome(
        phase=ALONE,
        messages=count,
        deliveries=count,
        seconds=took,
        server_ns=server,
        client_ns=time.process_time_ns() - client,
        wire_bytes=0,
        p50_ms=times[count // 2],
        p99_ms=times[count * 99 // 100],
    )


def main() -> None:
    raise_file_limit()
    job = load_job(sys.stdin.readline())
    try:
        if job.entrance is None:
            raise BenchmarkError("there is nowhere to send deliveries")
        print(dump(fan_out(job, job.entrance)), flush=True)
    except (BenchmarkError, OSError) as error:
        sys.exit(f"load: {error}")


if __name__ == "__main__":
    main()
