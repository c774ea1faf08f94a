"""One live route on which a test plays every part: time, the source, the server and the clients.

The gateway's side is the real one, from handshake to log; nothing here waits for anything but the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Framing, Headers, Message, Scope, Send
from gateway.core.event import Json
from gateway.core.route import parse_template
from gateway.core.settings import Items, Limits, LiveSettings, LogLimits, PluginUse, Route, SlowPolicy
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.app import Live, Parts
from gateway.live.channels import LiveRoute
from gateway.plugin import (
    AnySource,
    Broker,
    Codec,
    Context,
    Options,
    Plugin,
    Publisher,
    Request,
    Status,
    Transport,
    Upstream,
)
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock
from gateway.testing.source import ScriptedSource, turn
from gateway.testing.writer import ManualWriter, plain

_LENGTH = 4


def framed(payload: bytes, /) -> bytes:
    """A WebSocket message on the stage: its length, then itself."""
    return len(payload).to_bytes(_LENGTH, "big") + payload


class StageWriter(ManualWriter):
    """Keeps WebSocket messages apart, as a socket does."""

    def framing(self, kind: str, /) -> Framing:
        return plain if kind == "body" else framed


def messages(data: bytes) -> list[bytes]:
    """The whole messages among the bytes of a WebSocket."""
    found: list[bytes] = []
    while len(data) >= _LENGTH and len(data) >= (end := _LENGTH + int.from_bytes(data[:_LENGTH], "big")):
        found.append(data[_LENGTH:end])
        data = data[end:]
    return found


def context(clock: ManualClock) -> Context:
    """What plugins are made with: a clock of the test's, and every installed codec."""
    made: dict[str, Codec] = {}
    for name, found in find("codecs").items():
        plugin = found.load()
        made[name] = cast("Codec", plugin.make(plugin.options(), Context(clock=clock)))
    return Context(clock=clock, codecs=made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How a client asks for a transport: a WebSocket's handshake or a GET, with these headers and this query."""

    kind: Literal["http", "websocket"] = "http"
    headers: Headers = field(default_factory=list)
    query: str = ""
    subprotocols: tuple[str, ...] = ()


class StageClient:
    """One exchange, the ASGI server's side of it: `writer` is what the client reads from, if it ever streams."""

    def __init__(self, kind: str, high: int) -> None:
        self.kind = kind
        self.writer = StageWriter(high=high, low=high // 4)
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.refused: ClientError | None = None
        self.task: asyncio.Task[None] | None = None
        if kind == "websocket":
            self.inbox.put_nowait({"type": "websocket.connect"})

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def over(self) -> bool:
        """Whether the exchange has ended."""
        return self.task is not None and self.task.done()

    @property
    def received(self) -> list[bytes]:
        """What the client has read: each WebSocket message, or the body of the HTTP answer in one piece."""
        if self.kind == "websocket":
            return messages(self.writer.taken)
        return [b"".join(message.get("body", b"") for message in self.sent) + self.writer.taken]

    async def leave(self) -> None:
        """The connection breaks."""
        self.inbox.put_nowait({"type": f"{self.kind}.disconnect"})
        await turn()


class Stage:
    """The live side of one route, `/things`, whose items have an `id`; an async context manager.

    `source` plays the backend, unless the stage is given another to test.
    """

    def __init__(
        self,
        plugin: Plugin[Options, Transport],
        *,
        source: Callable[[Context], AnySource] | None = None,
        upstream: Upstream | None = None,
        log: LogLimits | None = None,
        slow: SlowPolicy = "snapshot",
    ) -> None:
        self.clock = ManualClock()
        self.source = ScriptedSource()
        self.stats = Stats()
        self.clients: list[StageClient] = []
        self.context = context(self.clock)
        self.transport = plugin.make(plugin.options(), self.context)
        self.settings = LiveSettings(
            source=PluginUse(name="scripted", options=None),
            items=Items(),
            modes=("items", "patch", "snapshot", "notify"),
            log=log or LogLimits(),
            slow=slow,
        )
        route = Route(name="things", path=parse_template("/things"), upstream="none", live=self.settings)
        self._route = LiveRoute(
            route=route,
            settings=self.settings,
            source=source(self.context) if source is not None else self.source,
            upstream=cast("Upstream", upstream),  # the scripted source asks none
        )
        brokers = find("brokers")["memory"].load()
        self.live = Live(
            Parts(
                broker=cast("Broker", brokers.make(brokers.options(), self.context)),
                transports=(self.transport,),
                writer_for=lambda scope, send: scope["stage.writer"],
                clock=self.clock,
                stats=self.stats,
                access=NoAccessLog(),
                refuse=self._refuse,
                limits=Limits(channels=10),
            )
        )

    async def __aenter__(self) -> Stage:
        await self.live.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            client.inbox.put_nowait({"type": f"{client.kind}.disconnect"})
        await self.live.close()
        await asyncio.gather(*(client.task for client in self.clients if client.task), return_exceptions=True)

    @property
    def audiences(self) -> int:
        """For how many kinds of clients each event is encoded."""
        return sum(len(running.channel._groups) for running in self.live._channels._running.values())

    def request(self, kind: str, method: str, headers: Headers, options: Mapping[str, str] | None = None) -> Request:
        """What a transport is shown to decide whether it is meant."""
        return Request(
            kind=kind, method=method, target=b"/things", headers=tuple(headers), params={}, options=options or {}
        )

    async def open(self, ask: Ask, query: str = "", *, high: int = 2**20, turns: int = 15) -> StageClient:
        """A client asks for the route, and the loop turns so often."""
        client = StageClient(ask.kind, high)
        scope: Scope = {
            "type": ask.kind,
            "method": "GET",
            "raw_path": b"/things",
            "query_string": "&".join(filter(None, [ask.query, query])).encode(),
            "headers": ask.headers,
            "subprotocols": ask.subprotocols,
            "stage.writer": client.writer,
            "stage.client": client,
        }
        client.task = asyncio.get_running_loop().create_task(self._serve(scope, client))
        self.clients.append(client)
        await turn(turns)
        return client

    async def _serve(self, scope: Scope, client: StageClient) -> None:
        asked = self.live.asked(scope, {})
        if asked is None:
            raise AssertionError("the transport does not take what its contract asks for")
        try:
            stream = self.live.open(scope, client.inbox.get, client.send, self._route, asked)
        except ClientError as error:
            client.refused = error
        else:
            await self.live.serve(stream)

    async def publish(self, document: Json) -> None:
        """The resource's state is this now; everyone who follows has been sent what changed when it returns."""
        await self.source.do(lambda publish: publish.state(document))

    async def fail(self, reason: str) -> None:
        """The source can't look at the resource any more."""

        async def step(publish: Publisher) -> None:
            publish.status(Status(state="stale", reason=reason))

        await self.source.do(step)

    async def pass_time(self, seconds: int) -> None:
        """Time passes, a second at a time."""
        for _ in range(seconds):
            self.clock.advance(1)
            await turn()

    async def _refuse(self, scope: Scope, send: Send, error: ClientError) -> None:
        scope["stage.client"].refused = error
