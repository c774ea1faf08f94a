from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.commands.poll import ShownUpstream, poll_once
from gateway.commands.rehearsal import ask
from gateway.core.asgi import Headers
from gateway.core.event import Json
from gateway.core.http import Answer
from gateway.errors import UpstreamUnavailable
from gateway.testing.clock import ManualClock
from tests.commands.played import Played, json_answer, settings


async def polled(
    folder: Path, upstream: Played, url: str = "/api/shirts", previous: tuple[Json] | None = None
) -> tuple[list[str], Json]:
    config = settings(folder)
    lines: list[str] = []
    asked = ask(config, url, ((b"authorization", b"Bearer sekrit"), (b"cookie", b"sid=sekrit")))
    shown = ShownUpstream(upstream, config.upstreams["shop"], lines.append)
    document = await poll_once(asked, shown, ManualClock(), lines.append, previous)
    return lines, document


async def test_everything_is_shown_but_credentials(tmp_path: Path) -> None:
    answer = json_answer([{"id": 1}], etag='"7"', set_cookie="sid=sekrit", x_api_key="sekrit", odd="a\x1b[31mb")
    lines, document = await polled(tmp_path, Played(answer), "/api/shirts?token=sekrit")
    text = "\n".join(lines)
    assert "sekrit" not in text
    assert "\x1b" not in text
    assert lines[0] == "> GET http://127.0.0.1:9000/v1/api/shirts?token=REDACTED"
    assert "> authorization: ***" in lines
    assert '< etag: "7"' in lines
    assert "# the next poll is conditional, by etag" in lines
    assert json.loads(lines[-1]) == {"type": "snapshot", "data": [{"id": 1}]}
    assert document == [{"id": 1}]


async def test_events_since_a_document(tmp_path: Path) -> None:
    lines, _ = await polled(tmp_path, Played(json_answer([{"id": 1, "n": 2}])), previous=([{"id": 1, "n": 1}],))
    assert json.loads(lines[-1])["data"]["changed"] == ["n"]
    assert "no validators" in "".join(lines)
    lines, _ = await polled(tmp_path, Played(json_answer([])), previous=([],))
    assert json.loads(lines[-1])["type"] == "nothing"


class Gone(Played):
    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        raise UpstreamUnavailable("shop is away")


@pytest.mark.parametrize("upstream", [Gone(), Played(json_answer(None, 500))])
async def test_no_document(tmp_path: Path, upstream: Played) -> None:
    lines, document = await polled(tmp_path, upstream)
    assert document is None
    assert any(line.startswith("# no document") for line in lines)
    assert json.loads(lines[-1])["type"] == "status"
