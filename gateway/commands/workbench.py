"""The commands to try things out with: asyncapi, explain, poll, probe, tail, test. They print, and serve nobody."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from time import strftime
from typing import TextIO, TypeVar

import click

from gateway.core.asgi import Header
from gateway.core.event import Json
from gateway.core.identity import Identity
from gateway.core.settings import UpstreamSettings
from gateway.errors import ClientError, UpstreamError

DEFAULT_FILE = "config/tidegate.yaml"
NO_ANSWER, UNEXPECTED = 4, 6
T = TypeVar("T")

_file = click.argument("file", default=DEFAULT_FILE, type=click.Path())
_header = click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="a header of the client's")
_as = click.option(
    "--as", "claims", type=click.Path(exists=True, dir_okay=False), help="a JSON file of claims: who the client is"
)


@click.command()
@click.argument("file", type=click.Path())
@click.argument("url")
@_as
@_header
def explain(file: str, url: str, claims: str | None, headers: tuple[str, ...]) -> None:
    """Say which route answers URL, what the backend is asked for it, and who shares that."""
    from gateway.build import SystemClock
    from gateway.commands.explain import explained
    from gateway.commands.rehearsal import ask, source_of
    from gateway.config import load

    settings = load(file, os.environ)
    asked = _said(lambda: ask(settings, url, _headers(headers), _identity(claims)))
    source = source_of(asked, {}, SystemClock()) if asked.route.live is not None else None
    for title, text in explained(settings, asked, source):
        click.echo(f"{title:<10} {text}")


@click.command()
@click.argument("file", type=click.Path())
@click.argument("url")
@click.option("--once", is_flag=True, required=True, help="look once; the only way there is")
@click.option(
    "--diff", type=click.Path(exists=True, dir_okay=False), help="a JSON file: the document that clients have before"
)
@click.option("--save", type=click.Path(dir_okay=False), help="write the document here, for --diff the next time")
@_as
@_header
def poll(  # noqa: PLR0913 - one for each option
    file: str, url: str, once: bool, diff: str | None, save: str | None, claims: str | None, headers: tuple[str, ...]
) -> None:
    """Poll URL once: show the request, the answer's headers, and the events that clients would be sent."""
    from gateway.build import SystemClock
    from gateway.commands.poll import ShownUpstream, poll_once
    from gateway.commands.rehearsal import ask
    from gateway.config import load
    from gateway.core.stats import UpstreamStats
    from gateway.wire.upstream import HttpUpstream, outside

    settings = load(file, os.environ)
    asked = _said(lambda: ask(settings, url, _headers(headers), _identity(claims)))
    previous = None if diff is None else (_json(diff),)

    async def look() -> Json:
        backend = settings.upstreams[asked.route.upstream]
        async with AsyncExitStack() as stack:

            def at(settings: UpstreamSettings) -> HttpUpstream:
                upstream = HttpUpstream(settings, UpstreamStats())
                stack.push_async_callback(upstream.close)
                return upstream

            shown = ShownUpstream(at(backend), backend, click.echo)
            others = lambda url: at(outside(url))  # noqa: E731
            return await poll_once(asked, shown, SystemClock(), click.echo, previous, others)

    document = _run(look())
    if save is not None:
        Path(save).write_text(json.dumps(document, indent=1) + "\n")


@click.command()
@click.argument("url")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(0, 3600), help="how long to look")
@_header
def probe(url: str, seconds: float, headers: tuple[str, ...]) -> None:
    """Look at an API for a while, and print the configuration to watch it with, a comment for each guess."""
    from gateway.build import SystemClock
    from gateway.commands.probe import probe as run
    from gateway.commands.probe import upstream_settings
    from gateway.core.stats import UpstreamStats
    from gateway.wire.upstream import HttpUpstream

    backend = _said(lambda: upstream_settings(url))

    async def look() -> str:
        upstream = HttpUpstream(backend, UpstreamStats())
        try:
            return await run(
                url, list(_headers(headers)), upstream, SystemClock(), seconds, lambda line: click.echo(line, err=True)
            )
        finally:
            await upstream.close()

    click.echo(_run(look()), nl=False)


@click.command()
@_file
def test(file: str) -> None:
    """Run the configuration's own tests: recorded answers in, expected events out."""
    from gateway.commands.recorded import run_tests
    from gateway.config import load

    settings = load(file, os.environ)
    failed = asyncio.run(run_tests(settings, click.echo))
    count = len(settings.tests)
    click.echo(f"{count} {'test' if count == 1 else 'tests'}, {failed} failed")
    if failed:
        sys.exit(UNEXPECTED)


@click.command()
@click.argument("url")
@click.option(
    "--transport",
    type=click.Choice(["websocket", "sse", "ndjson", "long_poll"]),
    help="only this one; else a WebSocket, and what gets through where that does not",
)
@click.option("--mode", type=click.Choice(["items", "patch", "merge", "snapshot", "notify"]), help="as live.mode")
@click.option("--since", metavar="ID", help="continue after this event")
@click.option("--count", type=click.IntRange(1), help="end after this many events")
@click.option("--raw", "as_json", is_flag=True, help="one JSON event a line, as it came")
@_header
@click.option(
    "--headers",
    "file",
    type=click.File("r"),
    help="a file of headers, one a line, - for standard input: other users of the machine see arguments",
)
def tail(  # noqa: PLR0913 - one for each option
    url: str,
    transport: str | None,
    mode: str | None,
    since: str | None,
    count: int | None,
    as_json: bool,
    headers: tuple[str, ...],
    file: TextIO | None,
) -> None:
    """Follow a live URL: print its events, come back when the line breaks. Ends with --count, or Ctrl-C.

    Headers are also read from the environment: TIDEGATE_HEADERS, one a line.
    """
    from gateway.build import SystemClock
    from gateway.commands.shown import pretty, raw
    from gateway.commands.streams import TRANSPORTS
    from gateway.commands.tail import FALLBACK, Followed, Refused, events, followed_url

    lines = [*os.environ.get("TIDEGATE_HEADERS", "").splitlines(), *(file or ())]
    given = [*(line for line in lines if line.strip()), *headers]
    followed = Followed(
        url=_said(lambda: followed_url(url)),
        headers=list(_headers(tuple(given))),
        since=since,
        mode=mode,
        transports=(transport,) if transport else FALLBACK,
    )

    async def follow() -> None:
        left = count or sys.maxsize
        warn = partial(click.echo, err=True)
        async with aclosing(events(followed, TRANSPORTS, SystemClock(), warn)) as stream:
            async for event in stream:
                click.echo(raw(event) if as_json else pretty(event, strftime("%H:%M:%S")))
                left -= 1
                if not left:
                    return

    try:
        asyncio.run(follow())
    except Refused as error:
        click.echo(f"tidegate: {error}", err=True)
        sys.exit(NO_ANSWER)


@click.command()
@_file
@click.option("--title", default="Live API", show_default=True, help="the document's title")
@click.option(
    "--server", "servers", multiple=True, metavar="URL", help="where clients find the gateway, if not where it listens"
)
def asyncapi(file: str, title: str, servers: tuple[str, ...]) -> None:
    """Print an AsyncAPI 3 document of the live routes, as JSON."""
    from gateway.commands.asyncapi import document
    from gateway.commands.probe import upstream_settings
    from gateway.config import load

    for url in servers:
        _said(lambda url=url: upstream_settings(url))  # type: ignore[misc]
    click.echo(json.dumps(document(load(file, os.environ), title, servers), indent=2))


COMMANDS = (asyncapi, explain, poll, probe, tail, test)


def _run(work: Coroutine[object, object, T]) -> T:
    """What keeps a backend from answering is no bug."""
    try:
        return asyncio.run(work)
    except (UpstreamError, ValueError) as error:
        click.echo(f"tidegate: {error}", err=True)
    except ClientError as error:
        click.echo(f"tidegate: {error.detail}", err=True)
    sys.exit(NO_ANSWER)


def _said(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _headers(texts: tuple[str, ...]) -> tuple[Header, ...]:
    pairs = [text.partition(":") for text in texts]
    if any(not colon or not name.strip() for name, colon, _ in pairs):
        raise click.BadParameter("expected 'Name: value'", param_hint="--header")
    return tuple((name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")) for name, _, value in pairs)


def _identity(claims: str | None) -> Identity | None:
    if claims is None:
        return None
    values = _json(claims)
    if not isinstance(values, dict):
        raise click.BadParameter("expected a JSON object of claims", param_hint="--as")
    return Identity(subject=str(values.get("sub", "")), claims=values)


def _json(path: str) -> Json:
    try:
        value: Json = json.loads(Path(path).read_bytes())
    except ValueError:
        raise click.UsageError(f"{path} is not JSON") from None
    return value
