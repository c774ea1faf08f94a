from __future__ import annotations

import http.client
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.demo.shop import main

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts shops, and leaves none behind."""
    with ExitStack() as stack:

        def start(*options: str) -> subprocess.Popen[str]:
            pipe = subprocess.PIPE
            command = [sys.executable, "-P", "-m", "gateway.demo.shop", "--port", "0", *options]
            shop = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
            stack.callback(shop.kill)
            return shop

        yield start


def address(shop: subprocess.Popen[str]) -> str:
    assert shop.stdout is not None
    word, url = shop.stdout.readline().split()
    assert word == "shop:"
    return urlsplit(url).netloc


def ask(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[int, bytes]:
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_signalled_and_says_nothing(start: Start, number: signal.Signals) -> None:
    shop = start()
    with closing(http.client.HTTPConnection(address(shop), timeout=20)) as connection:
        status, body = ask(connection, "GET", "/api/shirts")
        assert status == 200
        assert body.startswith(b'[{"id":1,')
        assert ask(connection, "HEAD", "/api/shirts") == (200, b"")
        assert ask(connection, "GET", "/")[0] == 200
        shop.send_signal(number)  # with a connection that stays open
        assert shop.communicate(timeout=20) == ("", "")
    assert shop.returncode == 0


def test_it_ends_with_its_standard_input(start: Start) -> None:
    shop = start("--until-eof")
    address(shop)
    assert shop.communicate(timeout=20) == ("", "")
    assert shop.returncode == 0


def test_it_does_not_mind_its_standard_input_otherwise(start: Start) -> None:
    shop = start()
    where = address(shop)
    assert shop.stdin is not None
    shop.stdin.close()
    with closing(http.client.HTTPConnection(where, timeout=20)) as connection:
        assert ask(connection, "GET", "/api/shirts/1")[0] == 200


def test_what_is_sold_stays_sold(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "shop.db")
    for expected in (200, 404):
        shop = start("--db", path)
        with closing(http.client.HTTPConnection(address(shop), timeout=20)) as connection:
            assert ask(connection, "GET", "/api/shirts/3")[0] == expected
            ask(connection, "DELETE", "/api/shirts/3")
        shop.send_signal(signal.SIGTERM)
        assert shop.wait(20) == 0


def test_a_taken_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 1
    assert capsys.readouterr().err.startswith("shop: cannot start: [Errno")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_told(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--port", port])
    assert left.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_a_file_that_is_no_shop_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE shirts (other)")
    assert main(["--port", "0", "--db", str(other)]) == 1
    assert main(["--port", "0", "--db", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("shop: cannot start") == 2
