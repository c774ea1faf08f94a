"""The shop and the gateway as two processes that the test may kill and start again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.demo.run import configuration
from tests.demo.running import eventually, listens


@dataclass(slots=True)
class Server:
    """A process that listens at `url`."""

    url: str
    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, env={**os.environ, **self.environ}, stdout=quiet, stderr=quiet)
        assert eventually(lambda: listens(self.url))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Stack:
    shop: Server
    gateway: Server

    @property
    def url(self) -> str:
        return self.gateway.url


@contextmanager
def separate(folder: Path) -> Iterator[Stack]:
    """Both, started, on ports that they keep."""
    ports = [free_port() for _ in range(3)]
    shop, listen, admin = (f"127.0.0.1:{port}" for port in ports)
    python = [sys.executable, "-P", "-m"]
    stack = Stack(
        Server(
            f"http://{shop}",
            [*python, "gateway.demo.shop", "--port", str(ports[0]), "--db", str(folder / "shop.db")],
        ),
        Server(
            f"http://{listen}",
            [*python, "gateway", "serve", str(configuration())],
            {"SHOP_URL": f"http://{shop}", "DEMO_LISTEN": listen, "DEMO_ADMIN": admin},
        ),
    )
    try:
        stack.shop.start()
        stack.gateway.start()
        yield stack
    finally:
        stack.gateway.kill()
        stack.shop.kill()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        number: int = probe.getsockname()[1]
        return number
