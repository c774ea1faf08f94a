"""The client for browsers as it is served; what it does in a browser is in tests/browser."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.client.script import MAX_AGE, NAME, PARTS, Script, bundle, with_client
from gateway.client.tickets import NAME as TICKET
from gateway.config import load
from gateway.core.access import NoAccessLog
from gateway.core.asgi import Message, Scope
from gateway.core.route import parse_template
from gateway.core.settings import Route, SessionSettings
from gateway.core.stats import Stats


class Log(NoAccessLog):
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def request(self, scope: object, route: str, status: int, sent: int, seconds: float) -> None:
        self.lines.append((route, status, sent))


LIVE = (Route(name="/live", path=parse_template("/live"), session=SessionSettings()),)


async def nothing() -> Message:
    raise AssertionError("there is nothing to be received")


async def ask(method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes, Log]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    stats, log = Stats(), Log()
    (route,) = with_client(LIVE)[:1]
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": "http", "method": method, "headers": fields}
    await Script(stats, log).serve(scope, nothing, send, route)
    status: int = sent[0]["status"]
    assert stats.routes[NAME].requests == {(method, status): 1}
    return status, {name.decode(): value.decode() for name, value in sent[0]["headers"]}, sent[1]["body"], log


def test_it_is_small() -> None:
    assert len(gzip.compress(bundle())) < 6000


def test_every_part_is_served_and_nothing_is_lost_but_comments() -> None:
    folder = files("gateway.client")
    assert sorted(PARTS) == sorted(one.name for one in folder.iterdir() if one.name.endswith(".js"))
    source = "".join((folder / name).read_text() for name in PARTS)
    assert not re.search(r"/\*(?!\*)", source), "no comment ends within a line"
    assert all(line.count("`") % 2 == 0 for line in source.splitlines()), "no string goes over lines"
    served = bundle().decode()
    assert re.findall(r"^export (?:async )?function (\w+)", served, re.MULTILINE) == [
        "fold", "applyPatch", "applyMerge", "live", "connect"
    ]  # fmt: skip
    assert "@param" not in served
    assert not re.search(r"(?:^|\s)//(?! tidegate.js)", served, re.MULTILINE)


async def test_plain() -> None:
    status, headers, body, log = await ask()
    assert (status, body) == (200, bundle())
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["cache-control"] == f"public, max-age={MAX_AGE}"
    assert headers["content-length"] == str(len(body))
    assert headers["access-control-allow-origin"] == "*"
    assert "content-encoding" not in headers
    assert log.lines == [(NAME, 200, len(body))]


async def test_compressed_where_that_is_accepted() -> None:
    plain, (_, headers, body, _) = await ask(), await ask(accept_encoding="gzip, br")
    assert gzip.decompress(body) == bundle()
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == plain[1]["vary"] == "accept-encoding"
    assert headers["etag"] != plain[1]["etag"]


@pytest.mark.parametrize("accept", ["gzip", "identity"])
async def test_who_has_it_is_told_so(accept: str) -> None:
    _, headers, _, _ = await ask(accept_encoding=accept)
    for known in (headers["etag"], f'"x", W/{headers["etag"]}', "*"):
        status, again, body, _ = await ask(accept_encoding=accept, if_none_match=known)
        assert (status, body) == (304, b"")
        assert again["etag"] == headers["etag"]
        assert "content-length" not in again
    assert (await ask(accept_encoding=accept, if_none_match='"x"'))[0] == 200


async def test_head() -> None:
    status, headers, body, log = await ask("HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(bundle())))
    assert log.lines == [(NAME, 200, 0)]


@pytest.mark.parametrize(
    ("routes", "served"),
    [
        ("{path: /x, upstream: a}", False),
        ("{path: /x, upstream: a, live: {poll: }}", True),
        ("{path: /s, session: {subscribe: [/x]}}, {path: /x, upstream: a, live: {poll: }}", True),
    ],
)
def test_it_is_served_where_something_is_live(tmp_path: Path, routes: str, served: bool) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"upstreams: {{a: {{url: 'http://a'}}}}\nroutes: [{routes}]\n")
    settings = load(str(file), {}).routes
    names = [route.name for route in with_client(settings)]
    assert names == [NAME, TICKET] * served + [route.name for route in settings]
