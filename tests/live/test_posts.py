from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.asgi import Message, Scope
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.settings import ChannelSettings, Limits
from gateway.core.shares import Owner
from gateway.live.app import Named
from gateway.live.posts import LARGE, Posts
from gateway.plugin import Codec, Context
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock
from tests.live.scene import Scene

NONE: Mapping[str, str] = {}
CHAT = Named("chat", "chat.a", ChannelSettings(name="chat.a", publish=True))


class Box:
    """Where messages are posted, with limits of the test's own."""

    def __init__(self, scene: Scene, **limits: int) -> None:
        self.scene = scene
        self.parts = scene.live.parts.__class__(
            **{name: getattr(scene.live.parts, name) for name in scene.live.parts.__slots__ if name != "limits"},
            limits=Limits(**limits),
        )
        plugin = find("codecs")["json"].load()
        codec: Codec = plugin.make(plugin.options(), Context(clock=ManualClock()))  # type: ignore[assignment]
        self.posts = Posts(self.parts, scene.live.messages, codec)
        self.status = 0
        self.headers: dict[bytes, bytes] = {}

    async def post(self, *pieces: bytes, gone: bool = False, sub: str = "", headers: Mapping[str, str] = NONE) -> Any:
        """The answer's body; its status is in `status`."""
        inbox: list[Message] = [
            {"type": "http.request", "body": piece, "more_body": gone or piece is not pieces[-1]} for piece in pieces
        ]
        inbox += [{"type": "http.disconnect"}] if gone else []
        sent: list[Message] = []
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope: Scope = {"type": "http", "method": "POST", "headers": fields, "client": ("192.0.2.1", 1)}
        if sub:
            scope[IDENTITY] = Identity(subject=sub)

        async def receive() -> Message:
            return inbox.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        await self.posts.serve(scope, receive, send, CHAT)
        if not sent:
            return None
        self.status, self.headers = sent[0]["status"], dict(sent[0]["headers"])
        return json.loads(sent[1]["body"])


async def test_a_message_is_published_and_its_position_answered(scene: Scene) -> None:
    box = Box(scene)
    first = await box.post(b'{"text":', b'"hi"}', headers={"content-type": "application/json; charset=utf-8"})
    second = await box.post(b"null")
    log = scene.live.messages.get("chat.a", Owner("eve")).log
    epoch = log.head.epoch
    assert (box.status, first, second) == (201, {"id": f"{epoch}.1"}, {"id": f"{epoch}.2"})
    stats = scene.stats.routes["chat"]
    assert (dict(stats.requests), stats.in_flight) == ({("POST", 201): 2}, 0)
    assert scene.access.lines == [("request", "chat", "201")] * 2


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "bad_json"),
        (b"", {}, 400, "bad_json"),
        (b"\xff", {}, 400, "bad_json"),
        (b"1" * 101, {}, 413, "too_large"),
        (b"1", {"content-length": "101"}, 413, "too_large"),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded"}, 415, "bad_type"),
        (b"1", {"content-encoding": "gzip"}, 415, "bad_type"),
    ],
)
async def test_what_is_not_taken(scene: Scene, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    box = Box(scene, message=100)
    answer = await box.post(body, headers=headers)
    assert (box.status, answer["code"]) == (status, code)
    assert (len(scene.live.messages), scene.stats.refused[code]) == (0, 1)
    assert dict(scene.stats.routes["chat"].requests) == {("POST", status): 1}


async def test_who_posts_too_much_is_asked_to_come_again(scene: Scene) -> None:
    box = Box(scene, messages_per_second=2)
    for _ in range(2):
        await box.post(b"1")
    assert box.status == 201
    assert (await box.post(b"1"))["code"] == "rate"
    assert (box.status, box.headers[b"retry-after"]) == (429, b"1")


async def test_who_leaves_has_published_nothing(scene: Scene) -> None:
    box = Box(scene)
    assert await box.post(b"1", gone=True) is None
    assert (len(scene.live.messages), scene.stats.routes["chat"].in_flight) == (0, 0)
    assert repr(box.posts) == "<Posts <Bodies 0 bytes of 0 addresses>>"


async def test_a_large_one_is_read_beside_the_loop(scene: Scene) -> None:
    box = Box(scene, message=2 * LARGE)
    await box.post(b'"' + b"x" * LARGE + b'"')
    assert box.status == 201
    assert (await box.post(b'"' + b"x" * LARGE))["code"] == "bad_json"


async def test_what_is_posted_is_on_the_clients_account(scene: Scene) -> None:
    box = Box(scene)
    await box.post(b"1", sub="ada")
    assert scene.live.messages._shares.owner("chat.a") == Owner("ada")
    await scene.live.messages.publish("chat.b", 1, Owner("192.0.2.1", crowd=True))
    await box.post(b"1")
    assert scene.live.messages._shares.owner("chat.b") == Owner("192.0.2.1", crowd=True)
