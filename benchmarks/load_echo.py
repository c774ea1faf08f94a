"""The load process of `echo`: each client sends a text, waits for its echo, and sends the next.

`python -m benchmarks.load_echo` reads a job from stdin, plays its phases and prints their outcomes.
"""

from __future__ import annotations

import sys
import time

from benchmarks import procfs
from benchmarks.audience import Audience
from benchmarks.frames import client_frame
from benchmarks.job import Job, Outcome, Phase, dump, load_job
from benchmarks.processes import BenchmarkError, raise_file_limit

_STALL = 15.0  # seconds without an echo, after which a measurement has failed


def bounce(audience: Audience, frame: bytes, messages: int, seconds: float) -> int:
    """Keep one text of each client on its way, until there were so many echoes; then wait for the last ones."""
    audience.reset()
    audience.write(frame, audience.everyone)
    sent, end = len(audience.everyone), time.monotonic() + seconds
    heard = last = 0
    stalls = time.monotonic() + _STALL
    while heard < sent:
        told = audience.pump(1.0)
        heard = audience.total
        if heard > last:
            last, stalls = heard, time.monotonic() + _STALL
        elif time.monotonic() > stalls:
            raise BenchmarkError(f"{sent} texts were sent, and {heard} echoes came")
        if sent < messages and time.monotonic() < end:
            audience.write(frame, told)
            sent += len(told)
    return heard


def measure(job: Job, phase: Phase, audience: Audience) -> Outcome:
    """Warm up, then play a phase between two readings of the server's processor time."""
    frame = client_frame(b"e" * job.size)
    bounce(audience, frame, phase.warmup, job.seconds)
    server, client, began = procfs.cpu_ns(job.server), time.process_time_ns(), time.perf_counter()
    echoes = bounce(audience, frame, phase.messages, job.seconds)
    seconds, client = time.perf_counter() - began, time.process_time_ns() - client
    return Outcome(
        phase=phase.name,
        messages=echoes,
        deliveries=echoes,
        seconds=seconds,
        server_ns=procfs.cpu_ns(job.server) - server,
        client_ns=client,
        wire_bytes=audience.bytes,
        p50_ms=0.0,
        p99_ms=0.0,
    )


def main() -> None:
    raise_file_limit()
    job = load_job(sys.stdin.readline())
    try:
        with Audience(job.port, job.path, job.clients) as audience:
            audience.settle()
            print(dump([measure(job, phase, audience) for phase in job.phases]), flush=True)
    except (BenchmarkError, OSError) as error:
        sys.exit(f"load: {error}")


if __name__ == "__main__":
    main()
