"""The commands as a shell runs them: what they print where, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.commands.played import CONFIG

TEST = """\
tests:
  - name: one shirt
    url: /api/shirts
    steps: [{answer: {body: []}, events: [{type: snapshot, data: [%s]}]}]
"""


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps([{"id": 1, "stock": 2}]).encode()
        denied = self.headers["Authorization"] is None
        self.send_response(401 if denied else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The test says what it saw."""


@contextmanager
def shop() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Shop) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.yaml").write_text(CONFIG)
    (tmp_path / "claims.json").write_text('{"sub": "ada"}')


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_explain() -> None:
    ran = run("explain", "g.yaml", "/api/shirts", "--as", "claims.json", "--header", "Authorization: Bearer sekrit")
    assert ran.exit_code == 0
    assert "route      /api/shirts" in ran.stdout
    assert "sekrit" not in ran.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "g.yaml", "/../x"),
        ("explain", "g.yaml", "/x", "--header", "nonsense"),
        ("explain", "g.yaml", "/x", "--as", "g.yaml"),
        ("poll", "g.yaml", "/api/shirts"),
        ("poll", "g.yaml", "/api/shirts", "--once", "--diff", "g.yaml"),
        ("probe", "nonsense"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.exit_code == 2, ran.output
    assert "Error: " in ran.stderr


def test_poll_and_what_changed_since(tmp_path: Path) -> None:
    with shop() as url:
        (tmp_path / "g.yaml").write_text(CONFIG.replace("http://127.0.0.1:9000/v1", url))
        options = ("--once", "--header", "Authorization: Bearer sekrit")
        ran = run("poll", "g.yaml", "/api/shirts", *options, "--save", "before.json")
        assert ran.exit_code == 0, ran.output
        assert "sekrit" not in ran.output
        assert json.loads((tmp_path / "before.json").read_text()) == [{"id": 1, "stock": 2}]
        (tmp_path / "before.json").write_text('[{"id": 1, "stock": 1}]')
        ran = run("poll", "g.yaml", "/api/shirts", *options, "--diff", "before.json")
        assert json.loads(ran.stdout.splitlines()[-1])["data"]["changed"] == ["stock"]


def test_probe() -> None:
    with shop() as url:
        ran = run("probe", f"{url}/api/shirts", "--seconds", "0", "--header", "Authorization: Bearer sekrit")
        assert ran.exit_code == 0, ran.output
        assert yaml.safe_load(ran.stdout)["upstreams"] == {"api": {"url": url}}
        assert "sekrit" not in ran.output
        refused = run("probe", f"{url}/api/shirts", "--seconds", "0")
        assert (refused.exit_code, refused.stdout) == (4, "")
        assert "answered 401" in refused.stderr


def test_no_answer() -> None:
    assert run("poll", "g.yaml", "/other", "--once").exit_code == 4
    ran = run("probe", "http://127.0.0.1:1/x", "--seconds", "0")
    assert ran.exit_code == 4


@pytest.mark.parametrize(("wanted", "code", "words"), [("", 0, "1 test, 0 failed"), ("1", 6, "1 test, 1 failed")])
def test_test(tmp_path: Path, wanted: str, code: int, words: str) -> None:
    (tmp_path / "g.yaml").write_text(CONFIG + TEST % wanted)
    ran = run("test", "g.yaml")
    assert (ran.exit_code, ran.stdout.splitlines()[-1]) == (code, words)
    assert run("test", "g.yaml").stdout.startswith("FAILED" if code else "ok")
