"""The benchmarks run, print their table and write their JSON; no figure is asserted."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import procfs
from benchmarks.flood import FLOODS
from benchmarks.frames import COUNTERS, Closed, FrameCounter, client_frame, server_frame, split
from benchmarks.harness import PEERS
from benchmarks.job import Entrance, Job, Phase, dump, load_job
from benchmarks.load_http import read_wrk
from benchmarks.processes import ROOT
from benchmarks.report import ratio, table

PING = b"\x89\x02hi"
CLOSE = b"\x88\x02\x11\x2d"


def program(name: str, tmp_path: Path, *options: str) -> tuple[str, dict[str, object]]:
    """Run a benchmark; what it printed and what it wrote."""
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--repeat", "1", "--json", str(file), *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
    written = json.loads(file.read_text())
    assert written["benchmark"] == name
    assert written["machine"]["cores"] == os.cpu_count()
    return ran.stdout, written


def servers(written: dict[str, object]) -> set[str]:
    results = written["results"]
    assert isinstance(results, list)
    return {each["server"] for each in results}


def test_fanout_prints_both_regimes(tmp_path: Path) -> None:
    small = ("--clients", "5", "--messages", "3", "--seconds", "5")
    printed, written = program("fanout", tmp_path, *small, "--vs", "loop,starlette")

    assert "fan-out, one at a time" in printed
    assert "fan-out, saturated" in printed
    assert {"tidegate", "tidegate, wire only", "Starlette on Hypercorn"} <= servers(written)


def test_fanout_over_every_transport_with_clients_that_never_read(tmp_path: Path) -> None:
    small = ("--clients", "100", "--messages", "2", "--seconds", "5", "--slow", "1")
    _, written = program("fanout", tmp_path, *small, "--vs", "", "--transport", "websocket,sse,ndjson")

    assert {"tidegate", "tidegate, sse", "tidegate, ndjson"} <= servers(written)


def test_fanout_to_sessions_on_some_of_many_channels(tmp_path: Path) -> None:
    small = ("--clients", "8", "--messages", "4", "--seconds", "5", "--channels", "8", "--each", "2")
    printed, written = program("fanout", tmp_path, *small, "--vs", "")

    assert "tidegate, 2 of 8 channels" in servers(written)
    assert printed.count("tidegate, 2 of 8 channels") >= 2, "in both regimes"
    results = written["results"]
    assert isinstance(results, list)
    deliveries = [
        run["deliveries"] / run["messages"] for each in results if "8 chan" in each["server"] for run in each["runs"]
    ]
    assert deliveries == [2, 2], "two of eight clients follow each channel"


def test_latency_prints_every_transport(tmp_path: Path) -> None:
    printed, written = program("latency", tmp_path, "--clients", "5", "--messages", "3", "--pause", "1")

    assert "publish to the last of 5 clients" in printed
    assert servers(written) == {"tidegate", "tidegate, sse", "tidegate, ndjson"}


def test_latency_from_webhooks_to_sessions(tmp_path: Path) -> None:
    small = ("--clients", "5", "--messages", "3", "--pause", "1", "--from", "webhook")
    printed, written = program("latency", tmp_path, *small)

    assert "webhook in to the last of 5 clients" in printed
    assert servers(written) == {"tidegate, paced", "tidegate, followed by nobody"}


def test_subscribe_prints_what_joining_costs(tmp_path: Path) -> None:
    printed, _ = program("subscribe", tmp_path, "--times", "10")

    assert "subscribe and unsubscribe" in printed


def test_proxy_prints_every_server(tmp_path: Path) -> None:
    printed, written = program("proxy", tmp_path, "--clients", "2", "--seconds", "1", "--vs", "starlette")

    assert "pass-through of a small GET" in printed
    assert servers(written) == {"tidegate", "Starlette + aiohttp", "Starlette + httpx2"}


def test_session_rpc_prints_all_ways(tmp_path: Path) -> None:
    printed, written = program("session_rpc", tmp_path, "--clients", "2", "--seconds", "1")

    assert "small requests with 600 bytes of credentials" in printed
    results = written["results"]
    assert isinstance(results, list)
    ways = [(each["checked_by"], each["at_once"], each["server"]) for each in results]
    assert ways == list(itertools.product(("backend", "gateway"), (1, 2), ("rest", "session")))


def test_memory_prints_every_server(tmp_path: Path) -> None:
    printed, written = program("memory", tmp_path, "--clients", "30", "--vs", "starlette")

    assert "user memory of an idle WebSocket" in printed
    assert servers(written) == {"tidegate", "Starlette on Hypercorn"}


def test_echo_prints_every_server(tmp_path: Path) -> None:
    small = ("--clients", "3", "--messages", "20", "--seconds", "5")
    printed, written = program("echo", tmp_path, *small, "--vs", "uvicorn,hypercorn")

    assert "echo over WebSocket" in printed
    assert servers(written) == {"tidegate's server", "tidegate, passed through", "uvicorn", "Hypercorn"}


def test_tls_prints_both(tmp_path: Path) -> None:
    printed, written = program("tls", tmp_path, "--clients", "5")

    assert "KB/idle WebSocket" in printed
    assert servers(written) == {"without", "with TLS"}


def test_flood_prints_every_flood(tmp_path: Path) -> None:
    printed, written = program("flood", tmp_path, "--seconds", "0.1", "--floods", "pings,unfinished handshakes")

    assert "unfinished handshakes, TLS" in printed
    results = written["results"]
    assert isinstance(results, list)
    assert [each["name"] for each in results if not each["tls"]] == ["pings"]
    assert all(each["connections"] > 0 for each in results)


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_of_whole_frames(name: str) -> None:
    data, at = FLOODS[name](), 0
    while at < len(data):
        at += 9 + int.from_bytes(data[at : at + 3])
    assert at == len(data)


def test_hello_prints_every_server(tmp_path: Path) -> None:
    printed, written = program("hello", tmp_path, "--clients", "2", "--seconds", "1", "--vs", "uvicorn,hypercorn")

    assert "hello of a plain ASGI application" in printed
    assert servers(written) == {"tidegate, wire only", "uvicorn", "Hypercorn"}


def test_reconnect_upgrades_everybody(tmp_path: Path) -> None:
    printed, written = program("reconnect", tmp_path, "--clients", "50", "--seconds", "20")

    assert "everybody comes back at once" in printed
    assert servers(written) == {"tidegate"}


def test_poll_prints_what_it_costs_and_what_it_spares(tmp_path: Path) -> None:
    printed, written = program("poll", tmp_path, "--keys", "20", "--clients", "10", "--seconds", "2", "--looks", "50")

    assert "a look that ends in 304" in printed
    assert "what the backend is asked" in printed
    results = written["results"]
    assert isinstance(results, list)
    figures = results[0]
    assert figures["requests"] <= figures["intervals"] + 2, "one request an interval, and the first"


def test_a_peer_that_is_not_installed_is_named_and_left_out(tmp_path: Path) -> None:
    empty = {**os.environ, "PATH": str(tmp_path)}
    code = "from benchmarks.peers import unavailable; print(unavailable('loop'))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=empty, capture_output=True, text=True)

    assert ran.stdout.strip() == "no C compiler (cc) is installed"


def test_an_unknown_peer_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "--peers-only", "--vs", "apache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 1
    assert ran.stderr.strip() == f"failed: no peer is called 'apache'; there are {', '.join(PEERS)}"


def test_numbers_are_bounded() -> None:
    command = [sys.executable, "-m", "benchmarks.memory", "--clients", "1000000"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 2
    assert "at most 20000" in ran.stderr


@pytest.mark.parametrize("size", [0, 125, 126, 65535])
def test_a_frame_is_counted_whole_byte_by_byte_and_with_a_tail(size: int) -> None:
    frame = server_frame(b"x" * size)

    assert split(frame) == (1, 0, b"")
    assert split(frame + PING + frame[:1]) == (1, 1, frame[:1])
    counter, pending, counts = FrameCounter(), b"", []
    for at in range(len(frame)):
        counts.append(counter.feed(pending, frame[at : at + 1]))
        pending = counter.pending
    assert counts == [0] * (len(frame) - 1) + [1]


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 2000), max_size=6))
def test_counts_do_not_depend_on_the_chunks(payloads: list[bytes], cuts: list[int]) -> None:
    data = b"".join(server_frame(payload) for payload in payloads)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    counter, pending, total = FrameCounter(), b"", 0
    for start, end in itertools.pairwise(edges):
        total += counter.feed(pending, data[start:end])
        pending = counter.pending

    assert (total, pending) == (len(payloads), b"")


def test_the_same_chunk_to_the_next_client_counts_the_same() -> None:
    counter, chunk = FrameCounter(), server_frame(b"one") + server_frame(b"two")

    assert [counter.feed(b"", chunk), counter.feed(b"", chunk), counter.feed(b"", chunk[:2])] == [2, 2, 0]
    assert counter.pending == chunk[:2]


@pytest.mark.parametrize(
    ("transport", "event"),
    [("sse", b"id: e.1\nevent: patch\ndata: 1\n\n"), ("ndjson", b'{"id":"e.1","data":{}}\n')],
)
@given(st.lists(st.integers(0, 400), max_size=6))
def test_events_of_a_stream_are_counted_however_they_are_cut(transport: str, event: bytes, cuts: list[int]) -> None:
    chunk = b"%x\r\n%s\r\n" % (3 * len(event), event * 3)
    data = chunk * 2 + chunk
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    counter, pending, total = COUNTERS[transport](), b"", 0
    for start, end in itertools.pairwise(edges):
        total += counter.feed(pending, data[start:end])
        pending = counter.pending

    assert total == 9


def test_a_close_frame_is_an_error_with_its_code() -> None:
    with pytest.raises(Closed, match="code 4397"):
        split(CLOSE)


def test_client_frames_are_masked() -> None:
    assert client_frame(b"hello") == b"\x81\x85\0\0\0\0hello"
    assert client_frame(b"x" * 200)[:4] == b"\x81\xfe\x00\xc8"


def test_a_job_survives_its_journey() -> None:
    phases = (Phase(name="one", messages=3, window=1, warmup=0),)
    job = Job(port=1, path="/", server=2, clients=3, entrance=Entrance(unix="/x"), size=9, phases=phases)

    assert load_job(dump(job)) == job


def test_wrk_is_read() -> None:
    text = """\
  Latency Distribution
     50%  406.00us
     99%    1.25ms
  23501 requests in 2.00s, 7.1MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 5
"""
    load = read_wrk(text)

    assert (load.requests, load.bad, load.seconds) == (23501, 9, 2.0)
    assert (load.p50_ms, load.p99_ms) == (0.406, 1.25)


def test_ratios_are_of_pairs() -> None:
    assert ratio([2.0, 30.0, 4.0], [1.0, 10.0, 2.0]) == 2.0


def test_tables_align() -> None:
    assert table("t", ["name", "n"], [["a", 1.5], ["bb", None], ["c", 12345]]).splitlines() == [
        "t",
        "name       n",
        "----  ------",
        "a       1.50",
        "bb         -",
        "c     12,345",
    ]


def test_this_process_has_used_time_and_memory() -> None:
    pid = os.getpid()

    assert procfs.cpu_ns(pid) > 0
    assert procfs.pss(pid) > 1_000_000
    assert pid in procfs.tree(os.getppid())


def test_the_readme_names_every_program() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()

    programs = {
        "fanout",
        "proxy",
        "hello",
        "reconnect",
        "memory",
        "echo",
        "poll",
        "diff",
        "tls",
        "latency",
        "subscribe",
        "session_rpc",
        "flood",
    }
    assert set(re.findall(r"python -m benchmarks\.(\w+)", text)) == programs


def test_diff(tmp_path: Path) -> None:
    said, written = program("diff", tmp_path, "--objects", "300")
    assert "keyed: 1 % changed" in said
    results = written["results"]
    assert isinstance(results, dict)
    assert all(len(times) == 1 and times[0] > 0 for times in results.values())
