"""Autobahn's cases against our server, an echoing ASGI application behind it: `kosoku` is the fuzzing client.

Imported by the tests for the quick sections. As a program, `python autobahn.py FILE`, it runs every case and writes
the report that is kept in docs/; without FILE it is the server, which differs from that of `tidegate serve` in this:
it sends no heartbeats, because cases end when a ping comes that they did not expect; and it compresses messages of any
size, because the client cannot take one as it is where compression was agreed on.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Protocol, cast

import kosoku
import uvloop

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.wire import deflate, sweep
from gateway.wire.server import Binding, serve

# The largest message of section 9 is 16 MB.
_MOST = 16 * 1024 * 1024
LIMITS = Limits(message=_MOST, messages_per_second=10**9, bytes_per_second=10**12)

SECTIONS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation",
    "6": "UTF-8", "7": "closing", "9": "limits", "10": "automatic fragmentation", "12": "compression: kinds of data",
    "13": "compression: parameters",
}  # fmt: skip
SLOW = ["12.*", "13.*"]
QUICK = [cases for section in SECTIONS if (cases := f"{section}.*") not in SLOW]

ACCEPTED = ("OK", "NON-STRICT", "INFORMATIONAL")

_UNDEFINED = "RFC 6455 leaves it open: the close frame is answered in kind"
REASONS = {
    "7.1.6": "a 256 KB message and a close frame follow each other: the close is answered while the echo is on its way",
    "7.13.1": f"close code 5000. {_UNDEFINED}",
    "7.13.2": f"close code 65536. {_UNDEFINED}",
}


class _Verdict(Protocol):
    value: str


class _Result(Protocol):
    case_id: str
    behavior: _Verdict
    behavior_close: _Verdict
    result: str
    result_close: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what came of it, and why in the fuzzing client's words."""

    id: str
    verdict: str
    words: str

    @property
    def section(self) -> str:
        return self.id.partition(".")[0]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The application under test."""
    await receive()
    await send({"type": "websocket.accept", "compression": True})
    while (message := await receive())["type"] == "websocket.receive":
        kind = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", kind: message[kind]})


async def serve_echo() -> None:
    """Serve on a free port, which is printed, until stdin ends."""
    deflate.THRESHOLD, sweep.HEARTBEAT = 0, 3600.0
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    await serve(
        [Binding(app=echo, listen=Listen(address="127.0.0.1:0"), lifespan=False)],
        limits=LIMITS,
        stats=Stats(),
        access=NoAccessLog(),
        stop=stop,
        started=lambda urls: print(urls[0].replace("http", "ws"), flush=True),
    )
    loop.remove_reader(sys.stdin.fileno())


@contextmanager
def echoing() -> Iterator[str]:
    """The URL of a server that echoes."""
    with Popen([sys.executable, __file__], stdin=PIPE, stdout=PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()
    assert server.returncode == 0


async def run(cases: Sequence[str], at_once: int) -> list[Case]:
    """The verdicts on these cases (`9.*` is a section), of which so many run at once."""
    with echoing() as url:
        try:
            results = await kosoku.run_fuzzingclient(url, cases, concurrency=at_once)
        except kosoku.FailureError as failure:
            results = failure.results
    return [_case(result) for result in cast("list[_Result]", results)]


def _case(result: _Result) -> Case:
    """A case is as good as the worse of its two verdicts, on the messages and on the close."""
    values = (result.behavior.value, result.behavior_close.value)
    worst = max(values, key=lambda value: ACCEPTED.index(value) if value in ACCEPTED else len(ACCEPTED))
    return Case(result.case_id, worst, f"{result.result} {result.result_close}")


def failures(cases: Sequence[Case]) -> list[Case]:
    """Cases that failed, and those that are less than OK for no listed reason."""
    return [case for case in cases if case.verdict != "OK" and (case.verdict not in ACCEPTED or case.id not in REASONS)]


def report(cases: Sequence[Case]) -> str:
    """The page of docs/."""
    lines = [
        "# WebSocket conformance",
        "",
        f"The {len(cases)} cases of the Autobahn test suite's fuzzing client, run by kosoku {version('kosoku')}",
        "against the server with an echoing ASGI application. The server sends no heartbeats here, because a ping that",
        "a case did not expect ends it, and compresses messages of any size. `make conformance` writes this page anew.",
        "",
        "| section | cases | OK | non-strict | informational | failed |",
        "|---|---|---|---|---|---|",
    ]
    for section, about in {**SECTIONS, "": "all"}.items():
        ours = [case for case in cases if not section or case.section == section]
        counts = Counter(case.verdict for case in ours)
        failed = len(ours) - sum(counts[verdict] for verdict in ACCEPTED)
        name = f"{section} {about}".strip()
        lines.append(f"| {name} | {len(ours)} | " + " | ".join(str(counts[v]) for v in ACCEPTED) + f" | {failed} |")
    lines += ["", "Every case that is not plainly OK:", "", "| case | verdict | why |", "|---|---|---|"]
    lines += [
        f"| {case.id} | {case.verdict.lower()} | {REASONS.get(case.id, case.words)} |"
        for case in cases
        if case.verdict != "OK"
    ]
    return "\n".join(lines) + "\n"


def main(file: str) -> int:
    """Run everything, write the report; whether something failed."""
    cases = asyncio.run(run([*QUICK, *SLOW], 2))
    Path(file).write_text(report(cases))
    for case in failures(cases):
        print(f"{case.id}: {case.verdict}: {case.words}", file=sys.stderr)
    return bool(failures(cases))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) > 1 else uvloop.run(serve_echo()))
