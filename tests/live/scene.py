"""A live side with every outside part in the test's hands: clock, source, backend, clients."""

from __future__ import annotations

import asyncio
import json
from typing import cast

from gateway.core.access import StreamEnd
from gateway.core.asgi import Message, Scope, Send
from gateway.core.event import Json
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.route import parse_template
from gateway.core.settings import Items, Limits, LiveSettings, PluginUse, Route
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.app import Live, Parts
from gateway.live.channels import LiveRoute
from gateway.plugin import Codec, Connection, Context, Encoding, Event, Request, Transport
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock
from gateway.testing.source import ScriptedSource, turn
from gateway.testing.writer import ManualWriter


class LineTransport:
    """The simplest transport: a line of JSON an event, for every request that says so."""

    name = "lines"

    def __init__(self) -> None:
        self.encoding = Encoding(encode=self._encode, kind="body", heartbeat=b"heartbeat\n")

    def _encode(self, event: Event) -> bytes:
        return json.dumps(event.envelope()).encode() + b"\n"

    def accepts(self, request: Request) -> bool:
        return request.header(b"accept") == b"lines"

    async def serve(self, connection: Connection) -> None:
        await connection.respond(200, [(b"content-type", b"text/lines")])
        connection.deliver(self.encoding, preamble=b"hello\n")
        while (message := await connection.receive()) is not None:
            if message == "crash":
                raise ZeroDivisionError("on request")
            raise ClientError(400, "bad_message", "no messages here", close_code=4400)


class Client:
    """One exchange: the ASGI server's side of it."""

    def __init__(self) -> None:
        self.writer = ManualWriter(high=100_000)
        self.sent: list[Message] = []
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None

    @property
    def body(self) -> bytes:
        """What was answered whole."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    def heard(self) -> list[Json]:
        """The ids of events heard since the last call; the type of those without."""
        lines = [line for line in self.writer.take().splitlines() if line.startswith(b"{")]
        return [event.get("id", event["type"]) for event in map(json.loads, lines)]

    async def leave(self) -> None:
        self.inbox.put_nowait({"type": "http.disconnect"})
        await turn()


class Log:
    """An access log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, ...]] = []
        self.ends: list[StreamEnd] = []

    def request(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None:
        self.lines.append(("request", route, str(status)))

    def opened(self, stream: str, scope: Scope, route: str, transport: str) -> None:
        self.lines.append(("open", stream, route, transport))

    def closed(self, stream: str, route: str, transport: str, end: StreamEnd) -> None:
        self.lines.append(("close", stream, route, transport))
        self.ends.append(end)


def installed(name: str, clock: ManualClock) -> Transport:
    """An installed transport with its defaults."""
    json_codec = find("codecs")["json"].load()
    codec = cast("Codec", json_codec.make(json_codec.options(), Context(clock=clock)))
    plugin = find("transports")[name].load()
    return cast("Transport", plugin.make(plugin.options(), Context(clock=clock, codecs={"json": codec})))


class Scene:
    """The live side of one route, `/shirts`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.source = ScriptedSource()
        self.stats = Stats()
        self.access = Log()
        self.refused: list[ClientError] = []
        self.clients: list[Client] = []
        self.address = ""  # of those who come from now on
        settings = LiveSettings(
            source=PluginUse(name="scripted", options=None),
            items=Items(),
            modes=("items", "patch", "snapshot", "notify"),
            linger=30.0,
        )
        route = Route(name="shirts", path=parse_template("/shirts"), upstream="shop", live=settings)
        self.route = LiveRoute(route=route, settings=settings, source=self.source, upstream=None)  # type: ignore[arg-type]
        broker = find("brokers")["memory"].load()
        self.live = Live(
            Parts(
                broker=broker.make(broker.options(), Context(clock=self.clock)),  # type: ignore[arg-type]
                transports=(LineTransport(), *(installed(name, self.clock) for name in ("long_poll", "sse"))),
                writer_for=lambda scope, send: scope["writer"],
                clock=self.clock,
                stats=self.stats,
                access=self.access,
                refuse=self._refuse,
                limits=Limits(channels=3, channels_per_route=3, channels_per_client=2),
            )
        )

    async def _refuse(self, scope: Scope, send: Send, error: ClientError) -> None:
        self.refused.append(error)

    async def open(
        self,
        query: str = "",
        token: str = "",
        kind: str = "http",
        accept: str = "lines",
        method: str = "GET",
        identity: Identity | None = None,
    ) -> Client:
        """A client opens the stream; raises ClientError when it is refused at once."""
        client = Client()
        scope = {
            "type": kind,
            "method": method,
            "scheme": "http",
            "raw_path": b"/shirts",
            "query_string": query.encode(),
            "headers": [(b"accept", accept.encode()), (b"authorization", token.encode())],
            "writer": client.writer,
            IDENTITY: identity,
            "client": (self.address, 1) if self.address else None,
        }
        asked = self.live.asked(scope, {})
        assert asked is not None
        stream = self.live.open(scope, client.inbox.get, client.send, self.route, asked)
        client.task = asyncio.get_running_loop().create_task(self.live.serve(stream))
        self.clients.append(client)
        await turn()
        return client

    async def state(self, document: Json) -> None:
        await self.source.do(lambda publish: publish.state(document))

    async def close(self) -> None:
        for client in self.clients:
            client.inbox.put_nowait({"type": "http.disconnect"})
        await self.live.close()
        await asyncio.gather(*(client.task for client in self.clients if client.task), return_exceptions=True)
