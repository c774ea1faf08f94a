from __future__ import annotations

import json

import pytest

from gateway.core.asgi import Message
from gateway.errors import ClientError
from gateway.live.reply import as_json, as_problem, reply
from tests.live.scene import Scene


@pytest.mark.parametrize(("method", "sent"), [("POST", b'{"a": 1}'), ("HEAD", b"")])
async def test_it_is_answered_counted_and_logged(scene: Scene, method: str, sent: bytes) -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    scene.clock.advance(0.5)
    await reply(
        scene.live.parts, {"method": method}, send, "mine", scene.clock.monotonic() - 0.5, as_json(201, {"a": 1})
    )
    start, body = messages
    assert (start["status"], body["body"]) == (201, sent)
    assert (b"content-length", b"8") in start["headers"]
    stats = scene.stats.routes["mine"]
    assert (dict(stats.requests), stats.seconds.total) == ({(method, 201): 1}, 0.5)
    assert scene.access.lines == [("request", "mine", "201")]


def test_a_refusal_is_a_problem() -> None:
    status, headers, body = as_problem(ClientError(405, "no", "why").with_headers((b"allow", b"GET")))
    assert (status, json.loads(body)["code"], dict(headers)[b"allow"]) == (405, "no", b"GET")
