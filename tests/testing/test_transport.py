"""A contract is worth what it refuses: transports that are nearly right."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from gateway.plugin import Connection, Context, Encoding, Event, Options, Plugin, Request, Transport
from gateway.testing.stage import Ask
from gateway.testing.transport import Event as Heard
from gateway.testing.transport import TransportContract, offsets


class Nearly:
    """Lines of JSON, with one fault."""

    name = "nearly"

    def __init__(self, fault: str, context: Context) -> None:
        self._fault = fault
        self._codec = context.codecs["json"]
        self._encoding = self._made()
        self._last = b""

    def _made(self) -> Encoding:
        return Encoding(encode=self._encode, kind="body", heartbeat=b"" if self._fault == "silent" else b"\n")

    def _encode(self, event: Event) -> bytes:
        if self._fault == "lossy" and event.position is not None and event.position.offset == 3:
            return b""
        if self._fault == "mute" and event.type == "notify":
            return b""
        if self._fault == "escapes":
            return json.dumps(event.envelope(), ensure_ascii=False).replace("\\n", "\n").encode() + b"\n"
        line = self._codec.encode(event.envelope()) + b"\n"
        return line + line if self._fault == "repeats" else line

    def accepts(self, request: Request) -> float:
        return self._fault == "greedy" or (request.method, request.header(b"accept")) == ("GET", b"nearly")

    async def serve(self, connection: Connection) -> None:
        await connection.respond(200, [])
        connection.deliver(self._made() if self._fault == "wasteful" else self._encoding)
        while await connection.receive() is not None:
            pass


FAULTS = {
    "greedy": "test_it_leaves_rest_alone",
    "lossy": "test_events_come_in_order_and_once",
    "mute": "test_who_fetches_by_itself_is_told_when_and_no_more",
    "repeats": "test_events_come_in_order_and_once",
    "escapes": "test_any_data_comes_through",
    "silent": "test_silence_is_broken_and_means_nothing",
    "wasteful": "test_its_clients_share_what_is_made_for_them",
}


def contract(fault: str) -> TransportContract:
    def make(options: Options, context: Context) -> Transport:
        return Nearly(fault, context)

    class Contract(TransportContract):
        name = "nearly"
        ask = Ask(headers=[(b"accept", b"nearly")])

        def plugin(self) -> Plugin[Options, Transport]:
            return Plugin(Options, make)

        def read(self, received: Sequence[bytes]) -> list[Heard]:
            return [json.loads(line) for line in received[0].split(b"\n")[:-1] if line]

    return Contract()


@pytest.mark.parametrize(("fault", "test"), FAULTS.items())
def test_a_fault_is_found(fault: str, test: str) -> None:
    getattr(contract("none"), test)()
    with pytest.raises((AssertionError, ValueError)):
        getattr(contract(fault), test)()


def test_offsets_of_two_epochs_are_not_compared() -> None:
    assert offsets([{"id": "e.1"}, {"type": "status"}, {"id": "e.2"}]) == [1, 2]
    with pytest.raises(AssertionError, match="epoch"):
        offsets([{"id": "e.1"}, {"id": "f.2"}])
