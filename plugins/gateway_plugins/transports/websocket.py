"""One event per WebSocket message, in the codec that the subprotocol names.

`tidegate.json.v1` is text, `tidegate.msgpack.v1` binary; json also when no subprotocol is offered. The stream
takes no messages from the client.
"""

from __future__ import annotations

from gateway.plugin import (
    BAD_MESSAGE,
    ClientError,
    Codec,
    Connection,
    Context,
    Disconnect,
    Encoding,
    Event,
    Options,
    Plugin,
    Request,
    TransportPlugin,
)

_NO_MESSAGES = Disconnect(BAD_MESSAGE.code, "this stream takes no messages", BAD_MESSAGE.label, reconnect=False)


class WebSocketOptions(Options):
    """One event a WebSocket message."""


class WebSocket:
    """The transport."""

    name = "websocket"

    def __init__(self, context: Context) -> None:
        self._encodings = {name: _encoding(codec) for name, codec in context.codecs.items()}

    def accepts(self, request: Request) -> float:
        return request.kind == "websocket"

    async def serve(self, connection: Connection) -> None:
        subprotocol, codec = self._negotiate(connection.request.subprotocols)
        await connection.accept(subprotocol)
        connection.deliver(self._encodings[codec])
        if await connection.receive() is not None:
            connection.disconnect(_NO_MESSAGES)
            while await connection.receive() is not None:
                pass

    def _negotiate(self, offered: tuple[str, ...]) -> tuple[str | None, str]:
        for subprotocol in offered:
            codec = subprotocol.removeprefix("tidegate.").removesuffix(".v1")
            if codec in self._encodings and subprotocol == f"tidegate.{codec}.v1":
                return subprotocol, codec
        if offered:
            spoken = ", ".join(f"tidegate.{codec}.v1" for codec in sorted(self._encodings))
            raise ClientError(
                400, "subprotocol", f"none of the offered subprotocols is spoken here; there are: {spoken}"
            )
        return None, "json"


def _encoding(codec: Codec) -> Encoding:
    def encode(event: Event) -> bytes:
        return codec.encode(event.envelope())

    return Encoding(encode=encode, kind="binary" if codec.binary else "text")


def _make(options: WebSocketOptions, context: Context) -> WebSocket:
    return WebSocket(context)


plugin: TransportPlugin[WebSocketOptions] = Plugin(WebSocketOptions, _make)
