from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
from pathlib import Path

import pytest

from gateway.core.settings import Listen
from gateway.wire import sockets
from gateway.wire.sockets import UNSENT, allow_files, alternative, close_socket, open_datagrams, open_socket, url


@pytest.mark.parametrize(
    ("address", "shown"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("localhost:0", None)]
)
def test_addresses(address: str, shown: str | None) -> None:
    listen = Listen(address=address)
    sock = open_socket(listen)
    port = sock.getsockname()[1]
    assert port > 0
    assert url(sock, "https") in {f"https://{host}:{port}" for host in ([shown] if shown else ["127.0.0.1", "[::1]"])}
    with socket.create_connection(sock.getsockname()[:2]):
        pass
    close_socket(sock, listen)


def test_a_unix_socket_comes_and_goes(tmp_path: Path) -> None:
    listen = Listen(address=f"unix:{tmp_path}/a.sock")
    sock = open_socket(listen)
    assert url(sock, "http") == f"unix:{tmp_path}/a.sock"
    assert os.path.exists(tmp_path / "a.sock")
    close_socket(sock, listen)
    assert not os.path.exists(tmp_path / "a.sock")
    close_socket(sock, listen)


def test_the_socket_of_a_process_that_is_gone_is_replaced(tmp_path: Path) -> None:
    listen = Listen(address=f"unix:{tmp_path}/a.sock")
    open_socket(listen).close()
    assert os.path.exists(tmp_path / "a.sock")
    close_socket(open_socket(listen), listen)


def test_the_socket_of_a_process_that_lives_is_not(tmp_path: Path) -> None:
    listen = Listen(address=f"unix:{tmp_path}/a.sock")
    living = open_socket(listen)
    with pytest.raises(OSError, match=r"cannot listen on unix:.*: Address already in use"):
        open_socket(listen)
    close_socket(living, listen)


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    with pytest.raises(OSError, match="Address already in use"):
        open_socket(Listen(address=f"unix:{tmp_path}/a"))
    assert (tmp_path / "a").read_text() == "precious"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:port", "no such host.invalid:0", "127.0.0.1:99999", ""])
def test_errors_name_the_address(address: str) -> None:
    with pytest.raises(OSError, match="cannot listen on ") as caught:
        open_socket(Listen(address=address))
    assert f"cannot listen on {address}: " in str(caught.value)
    gc.collect()  # a socket that was left open would warn


INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "got"),
    [
        (1024, 4096, 2000, 2000),
        (1024, 4096, 9000, 4096),
        (1024, INFINITY, 9000, 9000),
        (4096, 4096, 2000, None),
        (INFINITY, INFINITY, 2000, None),
    ],
)
def test_files_are_allowed_for(
    soft: int, hard: int, wanted: int, got: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: made.append(limits))
    allow_files(wanted)
    assert made == ([] if got is None else [(got, hard)])


def test_systems_without_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "resource", None)
    allow_files(10)


def test_datagrams_have_the_port_of_the_stream() -> None:
    listen = Listen(address="127.0.0.1:0")
    with open_socket(listen) as sock, open_datagrams(sock, listen) as datagrams:
        assert datagrams.getsockname() == sock.getsockname()
        assert alternative(datagrams) == b'h3=":%d"; ma=86400' % sock.getsockname()[1]


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="the system has no such option")
def test_the_kernel_takes_little_of_a_client_that_reads_nothing() -> None:
    with open_socket(Listen(address="127.0.0.1:0")) as sock, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(sock.getsockname())
        sock.setblocking(True)
        server, _ = sock.accept()
        server.setblocking(False)
        taken = 0
        with server, contextlib.suppress(BlockingIOError):
            while taken < 3 * UNSENT:
                taken += server.send(bytes(16 * 1024))
        assert taken < 3 * UNSENT
