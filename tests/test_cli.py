"""The command: what it prints where, and its exit codes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trustme
import yaml

import gateway.cli as command
import gateway.demo.run
import gateway.serving
from gateway import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.config import Rereading
    from gateway.core.settings import Gateway

ROOT = Path(__file__).parent.parent
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
GOOD = (
    "upstreams: {a: {url: 'http://a'}}\nroutes: [{path: /x, upstream: a, live: {poll: }}, {path: /**, upstream: a}]\n"
)


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text("rotes: []\nlisten: x\n")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


class Run:
    """Runs a command line as the shell would."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, line: str) -> Ran:
        with pytest.raises(SystemExit) as left:
            command.main(line.split())
        code = left.value.code
        assert isinstance(code, int)
        return Ran(code, *self._capsys.readouterr())


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"tidegate {__version__}\n", "")


@pytest.mark.parametrize("line", ["--help", "-h", "serve --help", "healthcheck -h"])
def test_help(run: Run, line: str) -> None:
    ran = run(line)
    assert ran.code == 0
    assert "Usage: tidegate" in ran.out


@pytest.mark.parametrize(
    "line", ["nonsense", "check --nonsense", "check a b", "demo --port 99999", "healthcheck --url x"]
)
def test_wrong_arguments(run: Run, line: str) -> None:
    ran = run(line)
    assert (ran.code, ran.out) == (2, "")
    assert "Error: " in ran.err


def test_without_arguments_there_is_help(run: Run) -> None:
    ran = run("")
    assert ran.code == 2
    assert "Commands:" in ran.err


def test_check(run: Run) -> None:
    assert run("check good.yaml") == (0, "good.yaml: ok (1 upstream, 2 routes, 1 live)\n", "")


def test_only_check_finds_that_a_certificate_has_expired(run: Run, tmp_path: Path) -> None:
    expired = trustme.CA().issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    expired.private_key_and_cert_chain_pem.write_to_path(tmp_path / "old.pem")
    listen = 'listen: [{address: "127.0.0.1:0", tls: {cert: old.pem, key: old.pem}}]\n'
    (tmp_path / "old.yaml").write_text(listen + GOOD)
    ran = run("check old.yaml")
    assert (ran.code, ran.out) == (1, "")
    assert "listen[0].tls.cert: the certificate expired on 2020-01-01" in ran.err
    assert run("routes old.yaml").code == 0


@pytest.mark.parametrize("name", ["check", "config", "routes", "serve", "healthcheck"])
def test_every_mistake_on_stderr(run: Run, name: str) -> None:
    ran = run(f"{name} bad.yaml")
    assert (ran.code, ran.out) == (1, "")
    assert [line.partition(" ")[0] for line in ran.err.splitlines()] == ["bad.yaml:1:1:", "bad.yaml:2:9:"]


def test_the_configuration_has_its_place(run: Run, tmp_path: Path) -> None:
    assert run("check").err == (
        "config/tidegate.yaml:1:1: cannot read config/tidegate.yaml: No such file or directory\n"
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tidegate.yaml").write_text(GOOD)
    assert run("check").code == 0


def test_config(run: Run) -> None:
    ran = run("config good.yaml")
    assert ran.code == 0
    assert yaml.safe_load(ran.out)["routes"][0]["live"]["linger"] == "30s"


def test_routes(run: Run) -> None:
    assert run("routes good.yaml").out.splitlines() == [
        "METHODS  PATH  UPSTREAM  LIVE  MODES                  NAME",
        "any      /x    a         poll  patch,snapshot,notify  /x",
        "any      /**   a         -     -                      /**",
    ]


def test_channels_of_messages_are_live(run: Run) -> None:
    Path("c.yaml").write_text("routes: [{path: '/a/{id}', channel: 'a.${params.id}'}]")
    assert run("routes c.yaml").out.splitlines()[1].split() == ["any", "/a/{id}", "messages", "-", "/a/{id}"]
    assert run("check c.yaml").out == "c.yaml: ok (0 upstreams, 1 route, 1 live)\n"


def test_schema(run: Run) -> None:
    assert run("schema").out == (ROOT / "config" / "schema.json").read_text()


def test_plugins(run: Run) -> None:
    lines = run("plugins").out.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "FROM", "OBJECT"]
    assert any(line.split()[:2] == ["sources", "poll"] for line in lines)


def test_two_plugins_of_one_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(kind: str) -> None:
        raise ValueError("two sources are called 'poll'")

    monkeypatch.setattr("gateway.plugin.registry.find", find)
    assert run("plugins") == (1, "", "Error: two sources are called 'poll'\n")


def test_serve_runs_the_application(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(
        settings: Gateway, say: Callable[[str], None], reread: Rereading, changed: Callable[[], bool] | None
    ) -> None:
        say(f"{len(settings.routes)} routes of {reread.path}{', watched' if changed is not None else ''}")

    monkeypatch.setattr(gateway.serving, "run", serve)
    assert run("serve good.yaml") == (0, "2 routes of good.yaml\n", "")
    assert run("serve good.yaml --watch") == (0, "2 routes of good.yaml, watched\n", "")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(98, "address in use"), 3, "tidegate: could not start: [Errno 98] address in use\n"),
        (KeyboardInterrupt(), 130, ""),
        (RuntimeError("oh"), 70, "RuntimeError: oh\ntidegate: this is a bug in Tidegate"),
    ],
)
def test_serve_fails(run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str) -> None:
    async def serve(*_: object) -> None:
        raise error

    monkeypatch.setattr(gateway.serving, "run", serve)
    ran = run("serve good.yaml")
    assert ran.code == code
    assert words in ran.err
    assert ("Traceback" in ran.err) == (code == 70)


def test_demo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []
    monkeypatch.setattr(gateway.demo.run, "main", ports.append)
    assert run("demo").code == 0
    assert run("demo --port 1234").code == 0
    assert ports == [8080, 1234]


class Ready(BaseHTTPRequestHandler):
    """An admin listener whose answer the test chooses."""

    status = 200

    def do_GET(self) -> None:
        assert self.path == "/readyz"
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"status": "whatever"}\n')

    def log_message(self, format: str, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return "test"


class UnixServer(socketserver.UnixStreamServer):
    def get_request(self) -> tuple[object, object]:  # type: ignore[override]
        return super().get_request()[0], ("test", 0)


@contextlib.contextmanager
def answering(server: socketserver.BaseServer) -> Iterator[None]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 4), (404, 4)])
def test_healthcheck_asks_the_admin_listener(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    monkeypatch.setattr(Ready, "status", status)
    server = HTTPServer(("127.0.0.1", 0), Ready)
    (tmp_path / "h.yaml").write_text(f"admin: {{listen: '0.0.0.0:{server.server_port}'}}\n{GOOD}")
    with answering(server):
        by_file, by_url = run("healthcheck h.yaml"), run(f"healthcheck --url http://127.0.0.1:{server.server_port}")
    assert by_file.code == by_url.code == code
    assert '{"status": "whatever"}\n' in (by_file.out, by_file.err)


def test_healthcheck_over_a_unix_socket(run: Run, tmp_path: Path) -> None:
    (tmp_path / "h.yaml").write_text(f"admin: {{listen: 'unix:{tmp_path}/s'}}\n{GOOD}")
    assert run("healthcheck h.yaml").code == 4
    with answering(UnixServer(str(tmp_path / "s"), Ready)):
        assert run("healthcheck h.yaml") == (0, '{"status": "whatever"}\n', "")


def test_healthcheck_without_an_answer(run: Run) -> None:
    server = HTTPServer(("127.0.0.1", 0), Ready)
    server.server_close()
    ran = run(f"healthcheck --url http://127.0.0.1:{server.server_port}")
    assert (ran.code, ran.out) == (4, "")
    assert "no answer from 127.0.0.1" in ran.err


def test_healthcheck_with_nobody_to_ask(run: Run, tmp_path: Path) -> None:
    (tmp_path / "h.yaml").write_text(f"admin: off\n{GOOD}")
    ran = run("healthcheck h.yaml")
    assert ran.code == 2
    assert "admin: off" in ran.err


def started(*arguments: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "gateway", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_for_real_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    here = "listen: ['127.0.0.1:0']\nadmin: {listen: '127.0.0.1:0'}\n"
    (tmp_path / "s.yaml").write_text(here + GOOD)
    with started("serve", "s.yaml") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert re.match(r"listening +http://127\.0\.0\.1:\d+", lines[0])
    assert re.match(r"admin +http://127\.0\.0\.1:\d+", lines[1])
    assert "client.js" in lines[2]
    assert "ticket" in lines[3]
    assert "/x" in lines[4]
    assert "/**" in lines[5]


def test_an_address_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Ready) as taken:
        (tmp_path / "s.yaml").write_text(f"listen: ['127.0.0.1:{taken.server_port}']\nadmin: off\n{GOOD}")
        with started("serve", "s.yaml") as process:
            out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (3, "")
    assert re.fullmatch(r"tidegate: could not start: .*\n", errors)


def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    line = f"{sys.executable} -m gateway schema | true; exit ${{PIPESTATUS[0]}}"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environ)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_other_commands_do_not_load_the_server() -> None:
    heavy = ("gateway.serving", "gateway.app", "pydantic", "hypercorn")
    script = f"import sys, gateway.cli; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", sorted(command.cli.commands))
def test_every_command_is_documented(name: str) -> None:
    assert f"| `tidegate {name}" in COMMANDS


def test_every_exit_code_is_documented(run: Run) -> None:
    told = re.findall(r"^ +(\d+) +\S", run("--help").out, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \|", COMMANDS, re.MULTILINE) == told


@pytest.mark.parametrize(
    ("line", "output"), re.findall(r"^```console\n\$ tidegate (.*)\n([^`]*)```", COMMANDS, re.MULTILINE)
)
def test_documented_examples(run: Run, monkeypatch: pytest.MonkeyPatch, line: str, output: str) -> None:
    monkeypatch.chdir(ROOT)
    assert run(line) == (0, output, "")
