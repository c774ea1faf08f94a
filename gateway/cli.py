"""The command `tidegate`: reads arguments, prints, and turns every expected failure into an exit code.

Decides nothing about the gateway; heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import click

from gateway import __version__
from gateway.commands.workbench import COMMANDS
from gateway.errors import ConfigError

OK, CONFIGURATION, NOT_STARTED, UNHEALTHY, BUG, INTERRUPTED = 0, 1, 3, 4, 70, 130
DEFAULT_FILE = "config/tidegate.yaml"
T = TypeVar("T")

_MOST = 64 * 1024  # of a health answer; it is a few hundred bytes

_EPILOG = """\b
Exit codes:
  0    done
  1    the configuration is wrong; starting again will not help
  2    wrong arguments
  3    could not start: an address in use, a port not permitted
  4    healthcheck: not ready, or no answer; poll, probe, tail: no answer, or a refusal
  5    demo: the shop ended by itself
  6    test: other events than expected
  70   a bug in Tidegate; its traceback is on stderr
  130  interrupted
"""

_file = click.argument("file", default=DEFAULT_FILE, type=click.Path())


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """A reader that has seen enough, as in `tidegate schema | head`, is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its exit
            return OK


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="tidegate", message="%(prog)s %(version)s")
def cli() -> None:
    """Tidegate makes the REST API you already have live.

    FILE is the configuration, config/tidegate.yaml unless given.
    """


@cli.command()
@_file
@click.option("--watch", is_flag=True, help="read FILE again, too, when it changes or what it includes does")
def serve(file: str, watch: bool) -> None:
    """Run the gateway until SIGINT or SIGTERM; SIGHUP has FILE read again."""
    from gateway.config import Rereading, Watched
    from gateway.serving import run

    reread = Rereading(file, os.environ)
    settings = reread.first()
    changed = Watched(reread.files).changed if watch else None
    _run(lambda: run(settings, _say, reread, changed))


@cli.command()
@_file
def check(file: str) -> None:
    """Check a configuration and print every mistake in it."""
    from gateway.config import load

    settings = load(file, os.environ, today=True)
    live = sum(bool(route.live or route.channel) for route in settings.routes)
    counts = f"{_count(len(settings.upstreams), 'upstream')}, {_count(len(settings.routes), 'route')}, {live} live"
    _say(f"{file}: ok ({counts})")


@cli.command()
@_file
def config(file: str) -> None:
    """Print the effective configuration: merged, with defaults, secrets hidden."""
    from gateway.config import effective

    click.echo(effective(file, os.environ), nl=False)


@cli.command()
@_file
def routes(file: str) -> None:
    """Print the route table in the order in which it is tried."""
    from gateway.config import load

    settings = load(file, os.environ)
    rows = [
        (
            ",".join(sorted(route.methods)) or "any",
            (route.host or "") + str(route.path),
            route.upstream,
            route.live.source.name if route.live else "messages" if route.channel else "-",
            ",".join(route.live.modes) if route.live else "-",
            route.name,
        )
        for route in settings.routes
    ]
    _table(("METHODS", "PATH", "UPSTREAM", "LIVE", "MODES", "NAME"), rows)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from gateway.config import schema as make

    click.echo(json.dumps(_installed(make), indent=2))


@cli.command()
def plugins() -> None:
    """List the installed plugins and where they come from."""
    from gateway.plugin.registry import KINDS, find

    found = [plugin for kind in KINDS for _, plugin in sorted(_installed(partial(find, kind)).items())]
    rows = [(one.kind, one.name, f"{one.distribution} {one.version}", one.entry.value) for one in found]
    _table(("KIND", "NAME", "FROM", "OBJECT"), rows)


@cli.command()
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="where the gateway listens"
)
def demo(port: int) -> None:
    """Run a legacy shop with the gateway in front of it, and print the URLs."""
    from gateway.demo.run import main as run_demo

    run_demo(port)


@cli.command()
@_file
@click.option("--url", help="ask this URL, and read no configuration")
@click.option("--timeout", default=3.0, show_default=True, type=click.FloatRange(0.1, 60), help="seconds to wait")
def healthcheck(file: str, url: str | None, timeout: float) -> None:
    """Ask the admin listener whether the gateway is ready; exits 0 or 4."""
    address, path = _asked(url) if url else (_admin_address(file), "/readyz")
    try:
        status, answer = _ask(address, path, timeout)
    except (OSError, http.client.HTTPException) as error:
        status, answer = 0, f"no answer from {address}: {error}"
    click.echo(answer.strip(), err=status != 200)
    if status != 200:
        sys.exit(UNHEALTHY)


def _admin_address(file: str) -> str:
    from gateway.config import load

    admin = load(file, os.environ).admin
    if admin is None:
        raise click.UsageError("this configuration says admin: off, so there is nothing to ask")
    return admin.address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")


def _asked(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.netloc:
        raise click.BadParameter("expected a URL such as http://127.0.0.1:9090/readyz", param_hint="--url")
    return parts.netloc, parts.path or "/readyz"


def _ask(address: str, path: str, timeout: float) -> tuple[int, str]:
    """Status and body of one GET; no proxy of the environment comes between."""
    connection = http.client.HTTPConnection("localhost" if address.startswith("unix:") else address, timeout=timeout)
    try:
        if address.startswith("unix:"):
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(timeout)
            connection.sock.connect(address.removeprefix("unix:"))
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST).decode("utf-8", "replace")
    finally:
        connection.close()


for _command in COMMANDS:
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; leaves by sys.exit."""
    sys.exit(_guarded(arguments))


def _guarded(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=arguments, prog_name="tidegate", standalone_mode=False)
        return code if isinstance(code, int) else OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ConfigError as error:
        click.echo(error, err=True)
        return CONFIGURATION
    except Exception:
        traceback.print_exc()
        click.echo("tidegate: this is a bug in Tidegate; please report it with the lines above", err=True)
        return BUG


def _run(make: Callable[[], Coroutine[object, object, None]]) -> None:
    """What keeps the gateway from starting is no bug."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(make())
    except OSError as error:
        click.echo(f"tidegate: could not start: {error}", err=True)
        sys.exit(NOT_STARTED)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, which halves the cost of everything, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _installed(look: Callable[[], T]) -> T:
    """What is found among the plugins; two of one name are the operator's to sort out."""
    try:
        return look()
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _say(line: str) -> None:
    click.echo(line)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as they need, two blanks apart."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
