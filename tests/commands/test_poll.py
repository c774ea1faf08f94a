from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.commands.poll import ShownUpstream, poll_once
from gateway.commands.recorded import StillClock
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


BATCH = """\
upstreams: {shop: {url: "http://127.0.0.1:9000/v1"}}
routes: [{path: "/api/shirts/{id}", upstream: shop, live: {poll: {batch: {param: ids}}}}]
"""


@pytest.mark.parametrize(
    ("own", "said"), [({"id": 7}, "the same document"), ({"data": {"id": 7}}, "not the same: after a write")]
)
async def test_what_a_list_holds_is_compared_with_what_its_own_url_answers(
    tmp_path: Path, own: Json, said: str
) -> None:
    upstream, lines = Played(json_answer([{"id": 7}]), json_answer(own)), list[str]()
    config = settings(tmp_path, BATCH)
    shown = ShownUpstream(upstream, config.upstreams["shop"], lines.append)
    document = await poll_once(ask(config, "/api/shirts/7"), shown, StillClock(), lines.append)
    assert document == {"id": 7}
    assert [target for target, _ in upstream.asked] == [b"/api/shirts?ids=7", b"/api/shirts/7"]
    number = next(number for number, line in enumerate(lines) if line.startswith("# by its own URL"))
    assert said in lines[number]
    assert [json.loads(line)["type"] for line in lines[number + 1 :]] == (["snapshot"] if "not" in said else [])


@pytest.mark.parametrize("answers", [[json_answer(None, 503)], [json_answer([{"id": 7}]), json_answer(None, 503)]])
async def test_what_is_not_answered_is_not_compared(tmp_path: Path, answers: list[Answer]) -> None:
    lines: list[str] = []
    config = settings(tmp_path, BATCH)
    shown = ShownUpstream(Played(*answers), config.upstreams["shop"], lines.append)
    await poll_once(ask(config, "/api/shirts/7"), shown, StillClock(), lines.append)
    assert not any(line.startswith("# by its own URL") for line in lines)
    assert any(line.startswith("< 503") for line in lines)


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
