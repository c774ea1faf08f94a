"""`tidegate tail` as a terminal runs it, against a real gateway."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.processes import Process, come
from tests.integration.relay import Relay

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""

Tail = Callable[..., Process]


@pytest.fixture
def tail() -> Iterator[Tail]:
    """Starts tails, and leaves none behind."""
    with ExitStack() as stack:

        def start(*arguments: str, **environ: str) -> Process:
            process = Process([sys.executable, "-P", "-m", "gateway", "tail", *arguments], environ)
            stack.callback(process.kill)
            return process

        yield start


@pytest.mark.parametrize("transport", ["websocket", "sse", "ndjson", "long_poll"])
async def test_it_resumes_when_the_line_breaks(
    gateway: Serve, backend: Backend, relay: Relay, tail: Tail, transport: str
) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    relay.to(running.port)
    url = f"{relay.url}/api/shirts"
    process = tail(url, "--raw", "--transport", transport, "--count", "3")
    await come(lambda: len(process.said) == 1, "a snapshot")
    backend.shirts[""][0]["stock"] = 13
    await come(lambda: len(process.said) == 2, "an update")
    relay.cut()
    backend.shirts[""][0]["stock"] = 14
    await come(lambda: process.popen.poll() is not None, "the end")
    assert process.outcome() == 0
    events = [json.loads(line) for line in process.said]
    assert [event["type"] for event in events] == ["snapshot", "updated", "updated"]
    assert [event["data"]["item"]["stock"] for event in events[1:]] == [13, 14]
    assert process.complained or transport == "long_poll"  # nothing breaks between two polls
    assert all(line.startswith(f"{transport}: ") for line in process.complained)


async def test_ctrl_c(gateway: Serve, backend: Backend, tail: Tail) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    process = tail(f"{running.ws}/api/shirts")
    await come(lambda: bool(process.said), "a snapshot")
    assert process.end(signal.SIGINT) == 130
    assert "".join(process.complained).strip() == ""
    assert process.said[0].endswith(" snapshot 1 items, 21 bytes\n"), "no colours where no terminal is"
    await come(lambda: "close" in [line["kind"] for line in running.log()], "its end in the access log")
    assert running.log()[-1]["reason"] in ("normal", "client_gone")


async def test_credentials_from_a_file_and_the_environment(
    gateway: Serve, backend: Backend, tail: Tail, tmp_path: Path
) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    backend.shirts["Bearer geheim"] = [{"id": 9}]
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer geheim\n\n")
    url = f"{running.url}/api/shirts"
    by_file = tail(url, "--raw", "--count", "1", "--headers", str(file))
    by_variable = tail(url, "--raw", "--count", "1", TIDEGATE_HEADERS="authorization:Bearer geheim")
    by_argument = tail(url, "--raw", "--count", "1", "--header", "Authorization: Bearer geheim")
    for process in (by_file, by_variable, by_argument):
        await come(lambda process=process: process.popen.poll() is not None, "the end")  # type: ignore[misc]
        assert process.outcome() == 0, process.text
        assert json.loads(process.said[0])["data"] == [{"id": 9}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/api/shirts", "--header", "Authorization: Bearer wrong"], "websocket: the answer was 401"),
        (["/api/shirts", "--mode", "merge"], "the answer was 400: live.mode=merge is not offered here"),
        (["/api/shirts", "--since", "x"], "the answer was 400"),
        (["/plain", "--transport", "sse"], "sse: the URL is not live by this transport"),
        (["/plain"], "long_poll: the URL is not live by long poll"),
    ],
)
async def test_refusals(gateway: Serve, backend: Backend, tail: Tail, arguments: list[str], words: str) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    process = tail(f"{running.url}{arguments[0]}", *arguments[1:])
    await come(lambda: process.popen.poll() is not None, "the end")
    assert process.outcome() == 4
    assert process.said == []
    assert words in process.complained[-1]


def test_wrong_arguments(tail: Tail) -> None:
    for arguments in (["ftp://x"], ["http://u:p@x/"], ["http://x", "--header", "nonsense"]):
        process = tail(*arguments)
        assert process.outcome() == 2
        assert "Error: " in process.text
