"""Runs the shop: `python -m gateway.demo.shop --port 9000 --db shop.db`.

A process of its own, on stock Hypercorn, that imports nothing of the gateway but this package: it
stands for the backend that you already have.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sqlite3
import sys
import time
from contextlib import ExitStack, closing

from hypercorn.asyncio import serve
from hypercorn.config import Config

from gateway.demo.app import create_app, seed
from gateway.demo.store import connect

# Longer than a proxy keeps its idle connections (60 s is the usual default): the side that sends
# requests should be the one that closes, or a request can meet a closing connection.
KEEP_ALIVE = 75
DEADLINE = 3.0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo.shop", description="A legacy shop: plain REST over SQLite."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=9000, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--db", default=":memory:", help="SQLite file (default: in memory, gone at the end)")
    parser.add_argument("--until-eof", action="store_true", help="also stop when standard input ends")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Exit codes: 0 stopped, 1 could not start, 2 usage."""
    options = arguments().parse_args(argv)
    with ExitStack() as stack:
        try:
            db = stack.enter_context(closing(connect(options.db)))
            seed(db)
            listener = socket.create_server((options.host, options.port))
        except (OSError, sqlite3.Error) as error:
            print(f"shop: cannot start: {error}", file=sys.stderr)
            return 1
        host, port = listener.getsockname()[:2]
        print(f"shop: http://{host}:{port}", flush=True)
        asyncio.run(_run(db, listener, until_eof=options.until_eof))
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


async def _run(db: sqlite3.Connection, listener: socket.socket, *, until_eof: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = KEEP_ALIVE
    config.graceful_timeout = DEADLINE
    await serve(create_app(db, time.time), config, shutdown_trigger=stop.wait)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
