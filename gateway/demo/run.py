"""`tidegate demo`: the shop in a process of its own, the gateway in front of it in this one.

Whatever ends one ends the other: a signal, the shop's death, a bug. The shop also ends when its standard
input does, so that it can't outlive a runner that was killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config import load
from gateway.serving import run

HOST = "127.0.0.1"  # the shop's passwords are public: the demo is for this machine alone
PORT, ADMIN_PORT = 8080, 9090

# Exit codes as of `tidegate`; the last is the demo's own.
OK, NOT_STARTED, SHOP_ENDED = 0, 3, 5

START_LIMIT = 30.0  # seconds; a cold start from a slow disk takes three
STOP_LIMIT = 5.0  # the shop gives its last answers 3 s

BANNER = """
A legacy shop runs at {shop}, plain REST. The gateway in front of it makes it live:

  page       {url}/
  WebSocket  ws://{listen}/api/shirts
  SSE        curl -N -H 'Accept: text/event-stream' {url}/api/shirts
  edit       curl -X PATCH {url}/api/shirts/2 -H 'Content-Type: application/json' -d '{{"stock": 42}}'
  metrics    http://{admin}/metrics

Users: ada (password lovelace) and grace (hopper), by POST to /login or /api/token; /api/orders is live
for each of them.

Ctrl-C ends it."""


class NotStarted(Exception):
    """The shop does not come up."""


@dataclass(frozen=True, slots=True)
class Shop:
    process: asyncio.subprocess.Process
    url: str


def main(port: int = PORT) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; port 0 takes free ones. Leaves by sys.exit unless all went well."""
    try:
        with TemporaryDirectory(prefix="tidegate-demo-") as folder:
            code = asyncio.run(_until_signalled(Path(folder), port))
    except (OSError, NotStarted) as error:
        code = _not_started(error)
    if code:
        sys.exit(code)


def configuration() -> Path:
    """`demo.yaml`: beside this file when installed, in `config/` in a source checkout."""
    beside = Path(__file__).with_name("demo.yaml")
    return beside if beside.exists() else Path(__file__).parents[2] / "config" / "demo.yaml"


async def _until_signalled(folder: Path, port: int) -> int:
    """The gateway minds the signals while it serves; until then they cancel what goes on here."""
    me = asyncio.current_task()
    assert me is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, me.cancel)
    loop.add_signal_handler(signal.SIGHUP, _terminate)
    try:
        async with _shop(folder / "shop.db") as shop:
            return await _serve(shop, port)
    except asyncio.CancelledError:  # only ever by a signal: this is the outermost task
        return OK


async def _serve(shop: Shop, port: int) -> int:
    listen, admin = _address(port, "the page"), _address(port and ADMIN_PORT, "the metrics")
    places = {"SHOP_URL": shop.url, "DEMO_LISTEN": listen, "DEMO_ADMIN": admin}
    settings = load(str(configuration()), {**os.environ, **places})
    banner = BANNER.format(shop=shop.url, listen=listen, url=f"http://{listen}", admin=admin)
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_end_with(shop))
        try:
            await run(settings, _once(banner))
        except OSError as error:
            return _not_started(error)
        finally:
            watch.cancel()
    if shop.process.returncode is None:
        return OK
    print(f"demo: the shop ended by itself, with exit code {shop.process.returncode}", file=sys.stderr)
    return SHOP_ENDED


def _not_started(error: Exception) -> int:
    print(f"demo: could not start: {error}", file=sys.stderr)
    return NOT_STARTED


def _once(banner: str) -> Callable[[str], None]:
    """Told of each listener and route by the gateway that has started, says what matters here instead."""
    left = [banner]

    def say(_: str) -> None:
        if left:
            print(left.pop(), flush=True)

    return say


async def _end_with(shop: Shop) -> None:
    """When the shop ends, so does the gateway, by the way that it ends by itself."""
    await shop.process.wait()
    _terminate()


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@asynccontextmanager
async def _shop(db: Path) -> AsyncIterator[Shop]:
    """The shop's process, until the block ends. Raises NotStarted.

    A session of its own keeps the terminal's Ctrl-C from it: the gateway is to end first. `-P` keeps the
    working directory's files from being imported.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "gateway.demo.shop", "--port", "0", "--db", str(db), "--until-eof"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Shop(process, await _url(process))
    finally:
        await _end(process)


async def _url(process: asyncio.subprocess.Process) -> str:
    """Where the shop says it listens."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_LIMIT):
            line = await process.stdout.readline()
    except TimeoutError:
        raise NotStarted(f"no word from the shop for {START_LIMIT:.0f} s") from None
    word, _, url = line.decode().strip().partition(" ")
    if word != "shop:":
        raise NotStarted("the shop ended at once")
    return url


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask by end of input; insist by SIGKILL, also when a second signal cuts the waiting short."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_LIMIT):
            await process.wait()
    except TimeoutError:
        print("demo: the shop had to be killed", file=sys.stderr)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _address(port: int, what: str) -> str:
    """`HOST:port`, or another port, with a word about it, when that one is taken."""
    try:
        free = _free_port(port)
    except OSError as error:
        free = _free_port(0)
        print(f"demo: port {port} cannot be used ({error.strerror}): {what} on {free} instead", file=sys.stderr)
    return f"{HOST}:{free}"


def _free_port(port: int) -> int:
    with closing(socket.create_server((HOST, port))) as probe:
        number: int = probe.getsockname()[1]
        return number
