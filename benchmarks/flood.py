"""Flood: what a client takes from the server that sends what asks for nothing, is cut off, and comes back at once.

The attacker is a program in C (`flood.c`) on the load's core; over TLS only where OpenSSL's headers are installed.
Each flood has a server of its own. Run it as `python -m benchmarks.flood`.
"""

from __future__ import annotations

import argparse
import json
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import ours, procfs
from benchmarks.harness import main, options, workplace
from benchmarks.peers import compile_c, unavailable
from benchmarks.processes import BenchmarkError, cores
from benchmarks.report import Cell, save, table

_SETTLE = 0.5
_ONCE = "unfinished handshakes"

_DATA, _HEADERS, _PRIORITY, _RESET, _SETTINGS, _PING, _WINDOW, _CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
_END_HEADERS = 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_GET = b"\x82\x86\x84\x41\x01x"  # GET http://x/, of HPACK's static table
_MANY = 1100  # more than an address may send at once
_HEAD = 70_000  # bytes, more than a head may have


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _rapid_reset() -> bytes:
    cancel = (8).to_bytes(4)
    streams = range(1, _MANY // 2, 2)
    return b"".join(frame(_HEADERS, s, _GET, _END_HEADERS | 1) + frame(_RESET, s, cancel) for s in streams)


def _hello() -> bytes:
    """What begins a handshake, and costs whoever replays it nothing."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise BenchmarkError("no handshake begins")


FLOODS: dict[str, Callable[[], bytes]] = {
    "rapid reset": _rapid_reset,
    "pings": lambda: frame(_PING, 0, bytes(8)) * _MANY,
    "settings": lambda: frame(_SETTINGS, 0) * _MANY,
    "empty data": lambda: frame(_HEADERS, 1, _GET, _END_HEADERS) + frame(_DATA, 1) * _MANY,
    "window updates": lambda: frame(_WINDOW, 0, (1).to_bytes(4)) * _MANY,
    "priorities": lambda: frame(_PRIORITY, 1, (3).to_bytes(4) + b"\x10") * _MANY,
    "empty continuations": lambda: frame(_HEADERS, 1, b"\x82") + frame(_CONTINUATION, 1) * _MANY,
    "large heads": lambda: frame(_HEADERS, 1, b"\x82") + frame(_CONTINUATION, 1, b"x" * (_HEAD // 7)) * 7,
    "garbage": lambda: frame(_DATA, 0, b"x"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """One attack. `refused` are attempts to connect, or to shake hands, that came to nothing."""

    name: str
    tls: bool
    seconds: float
    connections: int
    refused: int
    server_ns: int
    attacker_ns: int


def attackers(folder: Path) -> dict[bool, Path]:
    """The program, without TLS and, if it can be, with it."""
    if reason := unavailable("loop"):
        raise BenchmarkError(reason)
    source = Path(__file__).with_name("flood.c")
    compile_c(source, folder / "flood")
    found = {False: folder / "flood"}
    try:
        compile_c(source, folder / "flood_tls", "-DTLS", "-lssl", "-lcrypto")
        found[True] = folder / "flood_tls"
    except BenchmarkError:
        print("without TLS: no headers of OpenSSL are installed", flush=True)
    return found


def attack(program: Path, name: str, seconds: float, *, tls: bool) -> Flood:
    """One flood against a new server."""
    handshake = name == _ONCE
    words = _hello() if handshake else _PREFACE + frame(_SETTINGS, 0) + FLOODS[name]()
    with workplace() as (stack, folder):
        pid, plain, secure = ours.tls(stack, folder)
        time.sleep(_SETTLE)
        before = procfs.cpu_ns(pid)
        how = ["once"] if handshake else ["tls"] if tls else []
        command = [str(program), str(secure if tls else plain), str(seconds), *how]
        core = cores()[1]
        pin = [] if core is None else ["taskset", "-c", str(core)]
        ran = subprocess.run([*pin, *command], input=words, stdout=subprocess.PIPE, check=True)
        time.sleep(_SETTLE)
        spent = procfs.cpu_ns(pid) - before
    told = json.loads(ran.stdout)
    attacker_ns = told.pop("cpu_ns")
    return Flood(name=name, tls=tls, seconds=seconds, server_ns=spent, attacker_ns=attacker_ns, **told)


def floods(names: list[str], seconds: float) -> list[Flood]:
    """These floods, without TLS and with it."""
    found = []
    with workplace() as (_, folder):
        programs = attackers(folder)
        wanted = [(each, tls) for each in names for tls in ((True,) if each == _ONCE else programs)]
        for name, tls in wanted:
            print(f"{name}, {'TLS' if tls else 'plain'}", flush=True)
            program = programs[tls and name != _ONCE]
            found.append(attack(program, name, seconds, tls=tls))
    return found


def run() -> None:
    everything = [*FLOODS, _ONCE]
    parser = options(__doc__ or "", seconds=30.0, repeat=1)
    parser.add_argument("--floods", default=",".join(everything), metavar="NAMES", help="default all")
    args: argparse.Namespace = parser.parse_args()
    names = args.floods.split(",")
    if unknown := set(names) - {*everything}:
        raise BenchmarkError(f"no flood is called {unknown.pop()!r}; there are {', '.join(everything)}")
    found = floods(names, args.seconds)
    rows: list[list[Cell]] = [
        [
            f"{each.name}{', TLS' if each.tls else ''}",
            each.connections,
            each.refused,
            each.server_ns / 1e6,
            each.attacker_ns / 1e6,
            each.server_ns / 1e9 / each.seconds * 100,
        ]
        for each in found
    ]
    head = ["", "connections", "refused", "server CPU ms", "attacker CPU ms", "% of a core"]
    print("\n" + table(f"floods of {args.seconds:g} s from one address", head, rows), flush=True)
    print(f"\nwritten to {save('flood', vars(args), [asdict(each) for each in found], args.json)}")


if __name__ == "__main__":
    main(run)
