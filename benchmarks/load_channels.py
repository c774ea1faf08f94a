"""The load process of `fanout --channels`: sessions that each follow some of many channels, published to in turn.

`python -m benchmarks.load_channels` reads a job from stdin, plays its phases and prints their outcomes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from benchmarks.audience import Audience
from benchmarks.frames import client_frame
from benchmarks.job import Entrance, Job, Outcome, dump, load_job
from benchmarks.load import Play, Publisher, measure
from benchmarks.processes import BenchmarkError, raise_file_limit

_PATIENCE = 60.0  # seconds for all subscriptions


class InTurn:
    """Publishes to one channel after the other."""

    def __init__(self, publishers: list[Publisher]) -> None:
        self._publishers = publishers
        self._next = 0

    def publish(self, count: int) -> None:
        for number in range(self._next, self._next + count):
            self._publishers[number % len(self._publishers)].publish(1)
        self._next += count

    def discard(self) -> None:
        """Nothing is answered."""

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.close()


class Scattered(Play):
    """Each message reaches those who follow its channel; they are counted together."""

    def _wait(self, reached: int) -> int:
        self._until(lambda: self._audience.total >= (reached + 1) * self.receivers, reached)
        return self._audience.total // self.receivers

    def _check(self, published: int) -> None:
        if self._audience.total != published * self.receivers:
            raise BenchmarkError(f"{published} messages made {self._audience.total} deliveries")


def subscribe(audience: Audience, channels: int, each: int) -> None:
    """Let client n follow every channel whose number is n, but for multiples of `channels / each`."""
    step = channels // each
    for first in range(step):
        wanted = [
            b'{"op":"subscribe","id":%d,"channel":"/feeds/%d","mode":"patch"}' % (number, number)
            for number in range(first, channels, step)
        ]
        audience.write(b"".join(map(client_frame, wanted)), audience.everyone[first::step])
    deadline = time.monotonic() + _PATIENCE
    while audience.least < 1 + 2 * each:  # hello, and for each channel an answer and its state
        audience.pump(1.0)
        if time.monotonic() > deadline:
            raise BenchmarkError("not everyone could subscribe")


def fan_out(job: Job, entrance: Entrance) -> list[Outcome]:
    """All phases, with the same connections."""
    with Audience(job.port, job.path, job.clients) as audience:
        subscribe(audience, job.channels, job.each)
        places = [replace(entrance, unix=f"{entrance.unix}.{number}") for number in range(job.channels)]
        publisher = InTurn([Publisher(place, job.size) for place in places])
        play = Scattered(audience, publisher, job.clients * job.each // job.channels)
        outcomes = [measure(job, phase, play, audience) for phase in job.phases]
        publisher.close()
    return outcomes


def main() -> None:
    raise_file_limit()
    job = load_job(sys.stdin.readline())
    try:
        if job.entrance is None:
            raise BenchmarkError("there is nowhere to publish")
        print(dump(fan_out(job, job.entrance)), flush=True)
    except (BenchmarkError, OSError) as error:
        sys.exit(f"load: {error}")


if __name__ == "__main__":
    main()
