"""A session whose every outside part is in the test's hands: clock, source, backend, writer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.core.asgi import Message, Receive, Scope, Send
from gateway.core.event import Json
from gateway.core.http import HANDSHAKE, IDENTITY, Handshake
from gateway.core.identity import Identity
from gateway.core.route import parse_template
from gateway.core.settings import Route, SessionLimits, SessionSettings
from gateway.errors import ClientError
from gateway.live.following import Found
from gateway.live.sessions import Inside, Sessions
from gateway.plugin import Codec, Context, Request
from gateway.plugin.registry import find
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from tests.live.scene import Scene

Said = dict[str, Any]
Answer = Callable[[Scope, Receive, Send], Awaitable[None]]

SETTINGS = SessionSettings(
    subscribe=(parse_template("/shirts"), parse_template("/shirts/{size}")),
    messages=("chat.*", "for.${claims.sub}"),
    publish=("chat.*",),
    requests=True,
    limits=SessionLimits(subscriptions=2, requests=2, response=1000),
)
HOST = (b"host", b"shop")
LIVE = Route(name="live", path=parse_template("/live"), session=SETTINGS)


@dataclass(slots=True)
class Client:
    """The far end of a session; `heard` gives what it was sent since the last call."""

    sent: list[Message] = field(default_factory=list)
    inbox: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    writer: ManualWriter = field(default_factory=lambda: ManualWriter(high=100_000))
    task: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def put(self, **message: object) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def say(self, **message: object) -> list[Said]:
        self.put(**message)
        await turn()
        return self.heard()

    def heard(self) -> list[Said]:
        text, decoder, messages = self.writer.take().decode(), json.JSONDecoder(), []
        while text:
            message, end = decoder.raw_decode(text)
            messages.append(message)
            text = text[end:]
        return messages

    async def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await turn()


class Talk:
    """Sessions beside the live side of `Scene`; `answer` is the rest of the gateway, `admit` the live route's gate.

    `known` is the gate of the session's own route.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.asked: list[Scope] = []
        self.answer: Answer = self._hello
        self.admit: Callable[[Request], Awaitable[Identity]] | None = None
        self.known: Callable[[Request], Awaitable[tuple[str, Identity]]] = self._nobody
        self.clients: list[Client] = []
        self.current = True  # whether routes are as the configuration has them
        context = Context(clock=scene.clock)
        codecs: dict[str, Codec] = {}
        for name, found in find("codecs").items():
            plugin = found.load()
            codecs[name] = plugin.make(plugin.options(), context)  # type: ignore[assignment]  # of this kind
        inside = Inside(
            channels=scene.live.channels,
            messages=scene.live.messages,
            find=self._find,
            rest=self._rest,
            known=self._known,
            codecs=codecs,
            current=lambda route: self.current,
        )
        self.sessions = Sessions(scene.live.parts, inside)

    def _find(self, path: bytes, host: bytes | None) -> Found:
        if path == b"/shirts/none":
            raise ClientError(404, "not_live", "not followed")
        return Found(live=self.scene.route, params={}, admit=self.admit)

    def _rest(self, scope: Scope, receive: Receive, send: Send, route: Route) -> Awaitable[None]:
        self.asked.append(scope)
        return self.answer(scope, receive, send)

    async def _known(self, route: Route, request: Request) -> tuple[str, Identity]:
        return await self.known(request)

    async def _nobody(self, request: Request) -> tuple[str, Identity]:
        raise ClientError(401, "bad_token", "of which nothing is told")

    async def _hello(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": message["body"] or b"null"})

    async def open(self, route: Route = LIVE, identity: Identity | None = None, **more: object) -> Client:
        """A client opens a session; its hello is taken away unless it was refused."""
        client = Client()
        scope: Scope = {
            "type": "websocket",
            "scheme": "wss",
            "http_version": "1.1",
            "raw_path": b"/live",
            "query_string": b"",
            "headers": [HOST, (b"upgrade", b"websocket"), (b"authorization", b"t")],
            "writer": client.writer,
            **more,
        }
        if identity is not None:
            scope[IDENTITY] = identity
            headers = tuple(scope["headers"])
            asked = Request(kind="websocket", method="GET", target=b"/live", headers=headers, params={}, options={})
            scope[HANDSHAKE] = Handshake("people", asked)
        client.inbox.put_nowait({"type": "websocket.connect"})
        client.task = asyncio.get_running_loop().create_task(
            self.sessions.serve(scope, client.inbox.get, client.send, route)
        )
        self.clients.append(client)
        await turn()
        return client

    async def renewable(self, seconds: float | None = None, **claims: Json) -> Client:
        """A client that shows the token `old`, of ada, which ends in so many seconds."""
        return await self.open(identity=self.ada(seconds, **claims), headers=[HOST, (b"authorization", b"Bearer old")])

    def ada(self, seconds: float | None = None, **claims: Json) -> Identity:
        expires = None if seconds is None else self.scene.clock.time() + seconds
        return Identity(subject="ada", claims=claims, expires=expires)

    def accept(self, seconds: float | None = None, **claims: Json) -> None:
        """Have tokens accepted as ada's."""
        identity = self.ada(seconds, **claims)

        async def known(request: Request) -> tuple[str, Identity]:
            return "people", identity

        self.known = known

    async def pass_by(self, seconds: int) -> None:
        """Let time go by, with an upkeep each second."""
        for _ in range(seconds):
            await self.scene.clock.asleep(2)
            self.scene.clock.advance(1.0)
            await turn()

    async def close(self) -> None:
        for client in self.clients:
            client.inbox.put_nowait({"type": "websocket.disconnect"})
        await self.sessions.close()
        await asyncio.gather(*(client.task for client in self.clients if client.task), return_exceptions=True)
