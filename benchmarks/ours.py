"""Starts the gateway for a measurement: `tidegate serve` on a generated configuration.

For fan-out and memory its live route uses the source of `source.py`, found by an entry point in a folder on
the server's path, as any installed plugin is. `wire` is the server and its writer without the rest.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import jwt

from benchmarks.job import Entrance
from benchmarks.peers import Server
from benchmarks.processes import ROOT, await_port, cores, first_line, free_port, module, running

NAME = "tidegate"
_ENVELOPE = '{"id":"xxxxxx.1000","type":"patch","data":[{"op":"replace","path":"/text","value":""}]}'

_LIVE = """\
listen: ["127.0.0.1:{port}"]
admin: {{listen: "127.0.0.1:{admin}"}}
access_log: {folder}/access.log
limits: {{connections_per_ip: 50000}}
upstreams:
  nobody: {{url: "http://127.0.0.1:9"}}
routes:
  - path: /feed
    upstream: nobody
    live: {{told: {{socket: {socket}}}}}
  - path: /feeds/{{number}}
    upstream: nobody
    live: {{told: {{socket: {socket}}}}}
  - path: /live
    session: {{subscribe: [/feeds/**]}}
"""

_PROXY = """\
listen: ["127.0.0.1:{port}"]
admin: {{listen: "127.0.0.1:{admin}"}}
access_log: {folder}/access.log
upstreams:
  backend: {{url: "http://127.0.0.1:{upstream}"}}
routes:
  - path: /api/orders/{{id}}
    methods: [GET]
    upstream: backend
  - path: /**
    upstream: backend
"""

WEBHOOK_SECRET = "it is only a benchmark"

_WEBHOOKS = f"""\
listen: ["127.0.0.1:{{port}}"]
admin: {{{{listen: "127.0.0.1:{{admin}}"}}}}
access_log: {{folder}}/access.log
limits: {{{{connections_per_ip: 50000, messages_per_second: 1000000}}}}
routes:
  - path: /hooks/news
    webhook:
      verify: {{{{github: {{{{secret: "{WEBHOOK_SECRET}"}}}}}}}}
      publish: [{{{{channel: "${{{{body.channel}}}}"}}}}]
  - path: /live
    session: {{{{subscribe: [news]}}}}
"""

# The same once more for clients that the gateway itself knows, and tells the backend of.
_SESSIONS = """\
  - path: /live
    session: {{requests: true}}
  - path: /mine/live
    session: {{requests: true}}
    auth: people
  - path: /mine/**
    upstream: backend
    auth: people
"""

_PEOPLE = """\
auth:
  people:
    jwt: {{secret: "{secret}", algorithms: [HS256], issuer: "{issuer}", audience: shop}}
    headers: {{X-User: "${{claims.sub}}"}}
"""
_SECRET = "known to this machine alone, for the length of a run"
_ISSUER = "https://id.example"

_METADATA = "Metadata-Version: 2.1\nName: tidegate-benchmark\nVersion: 0\n"
_ENTRY = "[tidegate.sources]\ntold = benchmarks.source:plugin\n"


def gateway(stack: ExitStack, folder: Path) -> Server:
    """A live route, published to through `entrance`."""
    home, port = _home(folder, "live"), free_port()
    info = home / "tidegate_benchmark-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY)
    entrance = Entrance(unix=str(home / "socket"))
    config = _LIVE.format(port=port, admin=free_port(), folder=home, socket=entrance.unix)
    pid = _serve(stack, home, config, port)
    return Server(
        name=NAME,
        pid=pid,
        port=port,
        path="/feed?live.mode=patch",
        entrance=entrance,
        adds=len(_ENVELOPE),
        collect=lambda: _collect(entrance.unix),
    )


def proxy(stack: ExitStack, folder: Path, upstream: int) -> Server:
    """Pass-through with routing, metrics and the access log on."""
    home, port = _home(folder, "proxy"), free_port()
    config = _PROXY.format(port=port, admin=free_port(), folder=home, upstream=upstream)
    return Server(name=NAME, pid=_serve(stack, home, config, port), port=port)


def sessions(stack: ExitStack, folder: Path, upstream: int) -> Server:
    """Pass-through, and a session route beside it; under `/mine` for those who show a `token`."""
    home, port = _home(folder, "sessions"), free_port()
    # The load is one client that does nothing else: it asks for more than a page ever would.
    unlimited = "limits: {{messages_per_second: 1000000, bytes_per_second: 1GB}}\nupstreams:"
    template = _PROXY.replace("upstreams:", unlimited).replace("routes:\n", _PEOPLE + "routes:\n" + _SESSIONS)
    places = {"port": port, "admin": free_port(), "folder": home, "upstream": upstream}
    config = template.format(**places, secret=_SECRET, issuer=_ISSUER)
    return Server(name="tidegate", pid=_serve(stack, home, config, port), port=port)


def token() -> str:
    """What shows one of the `people` of `sessions`, for an hour; as long as such tokens are."""
    claims = {"sub": "user-4711", "iss": _ISSUER, "aud": "shop", "scope": "orders", "jti": secrets.token_hex(16)}
    return jwt.encode({**claims, "exp": int(time.time()) + 3600}, _SECRET, algorithm="HS256")


def webhooks(stack: ExitStack, folder: Path) -> Server:
    """A webhook route whose deliveries become messages, and a session route for those who follow them."""
    home, port = _home(folder, "webhooks"), free_port()
    config = _WEBHOOKS.format(port=port, admin=free_port(), folder=home)
    entrance = Entrance(port=port, path="/hooks/news")
    return Server(name=NAME, pid=_serve(stack, home, config, port), port=port, path="/live", entrance=entrance)


def wire(stack: ExitStack, folder: Path) -> Server:
    """Our server below a tiny application that writes ready frames."""
    home = _home(folder, "wire")
    entrance, log = Entrance(unix=str(home / "socket")), home / "log"
    child = stack.enter_context(running(module("wire_app", entrance.unix), log, core=cores()[0]))
    port = int(first_line(child, log))
    return Server(name="tidegate, wire only", pid=child.pid, port=port, path="/", entrance=entrance)


def echo(stack: ExitStack, folder: Path) -> Server:
    """Our server below an application that echoes."""
    log = _home(folder, "echo") / "log"
    child = stack.enter_context(running(module("echo_app"), log, core=cores()[0]))
    return Server(name="tidegate's server", pid=child.pid, port=int(first_line(child, log)), path="/")


def tunnel(stack: ExitStack, folder: Path) -> Server:
    """The gateway passing WebSockets through to an application that echoes, on the load's core."""
    home, port = _home(folder, "tunnel"), free_port()
    log = home / "echo.log"
    behind = stack.enter_context(running(module("echo_app"), log, core=cores()[1]))
    upstream = int(first_line(behind, log))
    config = _PROXY.format(port=port, admin=free_port(), folder=home, upstream=upstream)
    return Server(name="tidegate, passed through", pid=_serve(stack, home, config, port), port=port, path="/")


def tls(stack: ExitStack, folder: Path) -> tuple[int, int, int]:
    """Our server with and without TLS: its process, the port without and the port with."""
    home = _home(folder, "tls")
    log = home / "log"
    child = stack.enter_context(running(module("tls_app", str(home)), log, core=cores()[0]))
    plain, secure = first_line(child, log).split()
    return child.pid, int(plain), int(secure)


def _serve(stack: ExitStack, home: Path, config: str, port: int) -> int:
    file, log = home / "tidegate.yaml", home / "log"
    file.write_text(config)
    path = os.pathsep.join([str(home), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "gateway", "serve", str(file)]
    child = stack.enter_context(running(command, log, core=cores()[0], env={"PYTHONPATH": path}))
    await_port(child, port, log)
    return child.pid


def _home(folder: Path, name: str) -> Path:
    home = folder / name
    home.mkdir()
    return home


def _collect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(20)
        control.connect(path)
        control.sendall(b"collect\n")
        control.recv(16)
