from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from gateway.config import load
from gateway.demo import run
from tests.demo.running import Demo, eventually, listens, running


def ask(method: str, url: str, body: object = None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=20)) as connection:
        connection.request(method, parts.path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def heed_interrupts() -> None:
    """In a child, whose parent may have been started in the background of a shell, and ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(demo: Demo) -> list[int]:
    """The processes that the demo started (Linux)."""
    lists = Path(f"/proc/{demo.process.pid}/task").glob("*/children")
    return [int(child) for file in lists for child in file.read_text().split()]


def test_the_configuration_is_right_with_and_without_its_variables() -> None:
    settings = load(str(run.configuration()), {})
    assert [listen.address for listen in settings.listen] == ["127.0.0.1:8080"]
    assert settings.upstreams["shop"].port == 9000
    assert [route.name for route in settings.routes if route.live] == ["/api/shirts", "/api/shirts/{id}", "/api/orders"]
    moved = load(str(run.configuration()), {"SHOP_URL": "http://127.0.0.1:1", "DEMO_LISTEN": "127.0.0.1:2"})
    assert (moved.upstreams["shop"].port, moved.listen[0].address) == (1, "127.0.0.1:2")


def test_an_edit_by_rest_is_an_event_on_the_same_url(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        assert all(os.getsid(child) == child for child in children(demo)), "Ctrl-C reaches the shop as well"
        shirt = demo.url("edit")
        with connect(demo.url("WebSocket"), proxy=None, open_timeout=20) as socket:
            snapshot = json.loads(socket.recv(timeout=20))
            assert snapshot["type"] == "snapshot"
            assert [item["id"] for item in snapshot["data"]] == [1, 2, 3, 4, 5, 6, 7]
            assert ask("PATCH", shirt, {"stock": 41})[0] == 200
            event = json.loads(socket.recv(timeout=20))
            assert event["type"] == "updated"
            assert event["data"]["key"] == 2
            assert event["data"]["item"] == json.loads(ask("GET", shirt)[1])
            assert event["data"]["item"]["stock"] == 41
        assert b"tidegate_" in ask("GET", demo.url("metrics"))[1]
        assert demo.interrupt() == (0, "")
        assert demo.closed()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="needs curl")
def test_the_printed_curl_lines_work(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in demo.text.splitlines() if line.startswith("  ")}
        quiet = ["-s", "--noproxy", "*"]
        edited = subprocess.check_output([*shlex.split(lines["edit"]), *quiet], timeout=20)
        assert json.loads(edited)["stock"] == 42
        with subprocess.Popen([*shlex.split(lines["SSE"]), *quiet], stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            field = next(line for line in curl.stdout if line.startswith("data:"))
            curl.kill()
        assert json.loads(field.removeprefix("data:"))[1]["stock"] == 42


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_as_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as demo:
        left = children(demo)
        assert left
        demo.process.send_signal(number)
        assert demo.outcome() == (0, "")
        assert demo.closed()
        assert not any(Path(f"/proc/{child}").exists() for child in left)
        assert list(tmp_path.iterdir()) == []


def test_it_ends_when_the_shop_does_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        for child in children(demo):
            os.kill(child, signal.SIGKILL)
        code, errors = demo.outcome()
        assert code == run.SHOP_ENDED
        assert "the shop ended by itself, with exit code -9" in errors
        assert "Traceback" not in errors
        assert demo.closed()
        assert list(tmp_path.iterdir()) == []


def test_the_shop_does_not_outlive_a_runner_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        demo.process.kill()
        assert eventually(demo.closed)


def test_a_taken_port_is_replaced_with_a_word_about_it(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, port) as demo:
            assert listens(demo.url("page"))
            assert urlsplit(demo.url("page")).port != port
            code, errors = demo.interrupt()
            assert code == 0
            assert f"port {port} cannot be used" in errors


def test_files_of_the_working_directory_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise SystemExit('the wrong gateway')")
    (tmp_path / "sqlite3.py").write_text("raise SystemExit('the wrong module')")
    with running(tmp_path) as demo:
        assert ask("GET", demo.url("edit"))[0] == 200


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "gateway", "demo", "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environ, stderr=pipe, stdout=pipe, text=True, preexec_fn=heed_interrupts
    ) as process:
        assert eventually(lambda: any(tmp_path.iterdir()))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=40)
    assert "Traceback" not in errors
    assert eventually(lambda: not any(tmp_path.iterdir()))


async def test_a_shop_that_does_not_start_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(run.NotStarted, match="ended at once"):
        async with run._shop(tmp_path / "shop.db"):
            pass
