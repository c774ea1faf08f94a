"""The transport contract on every built-in one."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgpack

from gateway.testing.codec import AWKWARD
from gateway.testing.stage import Ask
from gateway.testing.transport import Event, TransportContract


class TestWebSocket(TransportContract):
    name = "websocket"
    ask = Ask(kind="websocket")

    def read(self, received: Sequence[bytes]) -> list[Event]:
        return [json.loads(message) for message in received]


class TestWebSocketMsgpack(TransportContract):
    name = "websocket"
    ask = Ask(kind="websocket", subprotocols=("tidegate.msgpack.v1",))
    awkward = tuple(value for value in AWKWARD if value != -(2**64))  # a decimal string

    def read(self, received: Sequence[bytes]) -> list[Event]:
        return [msgpack.unpackb(message) for message in received]


class TestServerSentEvents(TransportContract):
    name = "sse"
    ask = Ask(headers=[(b"accept", b"text/event-stream")])
    tells_reset = False  # an event has a type, an id and data

    def read(self, received: Sequence[bytes]) -> list[Event]:
        """By the rules of the HTML standard, for what this transport uses of it."""
        events: list[Event] = []
        for block in received[0].split(b"\n\n")[:-1]:
            lines = [line.partition(b": ") for line in block.split(b"\n") if not line.startswith(b":")]
            fields = {name: value.decode() for name, _, value in lines}
            if b"data" in fields:
                event: Event = {"type": fields[b"event"], "data": json.loads(fields[b"data"])}
                events.append({"id": fields[b"id"], **event} if b"id" in fields else event)
        return events


class TestNdjson(TransportContract):
    name = "ndjson"
    ask = Ask(headers=[(b"accept", b"application/x-ndjson")])

    def read(self, received: Sequence[bytes]) -> list[Event]:
        return [json.loads(line) for line in received[0].split(b"\n")[:-1] if line]


class TestLongPoll(TransportContract):
    name = "long_poll"
    ask = Ask(headers=[(b"prefer", b"wait=60")])
    polls = True

    def read(self, received: Sequence[bytes]) -> list[Event]:
        events: list[Event] = json.loads(received[0])["events"] if received[0] else []
        return events
