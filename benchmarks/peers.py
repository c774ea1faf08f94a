"""The servers that are measured, each started by a function and stopped when its stack closes.

The peers are optional: `unavailable` says why one cannot run here.
"""

from __future__ import annotations

import shutil
import sys
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from subprocess import run

from benchmarks import nginx
from benchmarks.job import Entrance
from benchmarks.processes import (
    BenchmarkError,
    await_port,
    cores,
    first_line,
    free_port,
    module,
    running,
)

_channels = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Something that runs: clients connect to `path` at `port`, messages go in at `entrance`.

    `adds` is what it wraps around a published message; `collect` frees what only waits to be freed.
    """

    name: str
    pid: int
    port: int
    path: str = ""
    entrance: Entrance | None = None
    adds: int = 0
    per_run: bool = False
    collect: Callable[[], None] = field(default=lambda: None)

    def fresh(self) -> tuple[str, Entrance | None]:
        """Path and entrance of a run; with a channel of its own where old messages would be replayed."""
        if not self.per_run or self.entrance is None:
            return self.path, self.entrance
        query = f"?channel={next(_channels)}"
        return self.path + query, Entrance(port=self.entrance.port, path=self.entrance.path + query)


Start = Callable[[ExitStack, Path], Server]


def c_loop(stack: ExitStack, folder: Path, *, joined: bool = False) -> Server:
    """The floor; `joined` writes messages that arrive together at once."""
    program = folder / "loop"
    if not program.exists():
        compile_c(Path(__file__).with_name("loop.c"), program)
    command = [str(program), *(["joined"] if joined else [])]
    return _loop("C loop, joined" if joined else "C loop", command, stack, folder)


def joined_c_loop(stack: ExitStack, folder: Path) -> Server:
    """The floor for many messages at once."""
    return c_loop(stack, folder, joined=True)


def python_loop(stack: ExitStack, folder: Path) -> Server:
    """The floor in Python."""
    return _loop("Python loop", module("loop"), stack, folder)


def _loop(name: str, command: list[str], stack: ExitStack, folder: Path) -> Server:
    log = folder / f"{name}.log"
    child = stack.enter_context(running(command, log, core=cores()[0]))
    port, entrance = map(int, first_line(child, log).split())
    return Server(name=name, pid=child.pid, port=port, entrance=Entrance(port=entrance))


def compile_c(source: Path, program: Path, *flags: str) -> None:
    """Build a program with the system's compiler."""
    built = run(["cc", "-O2", "-o", program, source, *flags], capture_output=True, text=True, check=False)
    if built.returncode:
        raise BenchmarkError(f"{source.name} does not compile: {built.stderr}")


def nchan(stack: ExitStack, folder: Path) -> Server:
    """nginx with Nchan, published to over a WebSocket: the cheapest way in that it has."""
    port, log = free_port(), folder / "nchan.log"
    child = stack.enter_context(running(nginx.nchan(_sub(folder, "nchan"), port), log, core=cores()[0]))
    await_port(child, port, log)
    entrance = Entrance(port=port, path="/pub")
    return Server(name="nginx + Nchan", pid=child.pid, port=port, path="/sub", entrance=entrance, per_run=True)


def nginx_proxy(stack: ExitStack, folder: Path, upstream: int) -> Server:
    """nginx as a reverse proxy."""
    port, log = free_port(), folder / "nginx.log"
    command = nginx.proxy(_sub(folder, "nginx"), port, upstream)
    child = stack.enter_context(running(command, log, core=cores()[0]))
    await_port(child, port, log)
    return Server(name="nginx", pid=child.pid, port=port)


def starlette(stack: ExitStack, folder: Path) -> Server:
    """Starlette on stock Hypercorn."""
    child, port = _hypercorn(stack, folder, "starlette_fanout", {})

    def collect() -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/collect").read()

    name, entrance = "Starlette on Hypercorn", Entrance(port=port, path="/pub")
    return Server(name=name, pid=child, port=port, path="/sub", entrance=entrance, collect=collect)


def hypercorn_echo(stack: ExitStack, folder: Path) -> Server:
    """The echoing application on stock Hypercorn."""
    child, port = _hypercorn(stack, folder, "echo_app", {})
    return Server(name="Hypercorn", pid=child, port=port, path="/")


def uvicorn_echo(stack: ExitStack, folder: Path) -> Server:
    """The echoing application on uvicorn, with uvloop and its fastest WebSocket implementation."""
    port, log = free_port(), folder / "uvicorn.log"
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--loop", "uvloop", "--ws", "websockets-sansio"]
    command += ["--log-level", "warning", "benchmarks.echo_app:app"]
    child = stack.enter_context(running(command, log, core=cores()[0]))
    await_port(child, port, log)
    return Server(name="uvicorn", pid=child.pid, port=port, path="/")


def starlette_proxy(stack: ExitStack, folder: Path, upstream: int, client: str) -> Server:
    """Starlette on stock Hypercorn, with one of two HTTP clients and an access log."""
    env = {"UPSTREAM": f"http://127.0.0.1:{upstream}", "CLIENT": client}
    child, port = _hypercorn(stack, folder, "starlette_proxy", env, "--access-logfile", str(folder / client))
    return Server(name=f"Starlette + {client}", pid=child, port=port)


def _hypercorn(stack: ExitStack, folder: Path, app: str, env: dict[str, str], *options: str) -> tuple[int, int]:
    port, log = free_port(), folder / f"{app}.log"
    command = [sys.executable, "-m", "hypercorn", "--worker-class", "uvloop", "--workers", "1"]
    command += ["--backlog", "4096", "--bind", f"127.0.0.1:{port}", *options, f"benchmarks.{app}:app"]
    child = stack.enter_context(running(command, log, core=cores()[0], env=env))
    await_port(child, port, log)
    return child.pid, port


def hypercorn_hello(stack: ExitStack, folder: Path) -> Server:
    """A plain ASGI application on stock Hypercorn."""
    child, port = _hypercorn(stack, folder, "hello_app", {})
    return Server(name="Hypercorn", pid=child, port=port)


def uvicorn_hello(stack: ExitStack, folder: Path) -> Server:
    """The same on uvicorn, with all that makes it fast."""
    port, log = free_port(), folder / "uvicorn.log"
    command = [sys.executable, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    command += ["--port", str(port), "--backlog", "4096", "--log-level", "warning", "benchmarks.hello_app:app"]
    child = stack.enter_context(running(command, log, core=cores()[0]))
    await_port(child, port, log)
    return Server(name="uvicorn", pid=child.pid, port=port)


def canned_upstream(stack: ExitStack, folder: Path, *, numbered: bool = False) -> int:
    """The port of a backend that answers everything with the same small JSON; it shares the load's core.

    `numbered`: no two of its answers have the same head.
    """
    log = folder / "upstream.log"
    child = stack.enter_context(running(module("upstream", *["--numbered"] * numbered), log, core=cores()[1]))
    return int(first_line(child, log))


def unavailable(peer: str) -> str:
    """Why a peer cannot run on this machine; empty when it can."""
    if peer in ("nginx", "nchan"):
        return nginx.missing(nchan=peer == "nchan")
    if peer == "starlette":
        absent = [name for name in ("starlette", "hypercorn", "aiohttp", "httpx2") if find_spec(name) is None]
        return f"not installed: {', '.join(absent)}" if absent else ""
    if peer in ("uvicorn", "hypercorn"):
        return "" if find_spec(peer) is not None else "not installed"
    if peer == "loop":
        return "" if shutil.which("cc") else "no C compiler (cc) is installed"
    return "nobody by this name"


def _sub(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir(exist_ok=True)
    return path
