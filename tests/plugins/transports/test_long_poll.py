from __future__ import annotations

import json

import pytest

from gateway.plugin import ClientError, Position, Request
from gateway_plugins.transports.long_poll import LongPoll, LongPollOptions, plugin, preferred
from tests.plugins.transports.fake import FakeConnection, context, event, request


def transport() -> LongPoll:
    made = plugin.make(LongPollOptions(), context())
    assert isinstance(made, LongPoll)
    return made


async def polled(asked: Request, *data: str) -> FakeConnection:
    connection = FakeConnection(asked)
    connection.events = [event(one, position=Position("e", 1 + index)) for index, one in enumerate(data)]
    await transport().serve(connection)
    return connection


async def test_the_answer_is_a_batch_and_where_to_go_on() -> None:
    connection = await polled(request(wait="5"), "a,", "b")
    [(status, headers, body)] = connection.answered
    assert (status, connection.waited) == (200, 5)
    assert dict(headers) == {b"content-type": b"application/json", b"cache-control": b"no-store"}
    events = [{"id": "e.1", "type": "updated", "data": "a,"}, {"id": "e.2", "type": "updated", "data": "b"}]
    assert json.loads(body) == {"events": events, "next": "e.7"}


async def test_nothing_is_an_answer_too() -> None:
    [(_, _, body)] = (await polled(request(wait="0"))).answered
    assert json.loads(body) == {"events": [], "next": "e.7"}


@pytest.mark.parametrize(
    ("prefer", "wait", "waited", "applied"),
    [
        ("wait=10", None, 10, b"wait=10"),
        ("wait=3600", None, 25, b"wait=25"),
        ("wait=0", None, 0, b"wait=0"),
        ("wait=10", "3", 3, None),
        ("", "3600", 25, None),
        ("respond-async, Wait = 7; x=y", None, 7, b"wait=7"),
    ],
)
async def test_the_wait_is_the_clients_within_bounds(
    prefer: str, wait: str | None, waited: int, applied: bytes | None
) -> None:
    connection = await polled(request(prefer=prefer, wait=wait))
    assert connection.waited == waited
    assert dict(connection.answered[0][1]).get(b"preference-applied") == applied


@pytest.mark.parametrize("wait", ["", "x", "-1", "1.5", "٣", "1" * 10])
async def test_a_wait_that_is_no_number_of_seconds_is_refused(wait: str) -> None:
    with pytest.raises(ClientError, match="no number of seconds") as caught:
        await polled(request(wait=wait))
    assert (caught.value.status, caught.value.code) == (400, "bad_wait")


@pytest.mark.parametrize("prefer", ["", "wait", "wait=", "wait=x", "wait=-1", "await=3", "respond-async"])
def test_a_preference_that_says_nothing_is_none(prefer: str) -> None:
    assert preferred(request(prefer=prefer)) is None
    assert not transport().accepts(request(prefer=prefer))


def test_it_accepts_gets_that_would_wait_and_gives_way_to_streams() -> None:
    assert 0 < transport().accepts(request(prefer="wait=5")) < 0.001
    assert transport().accepts(request(wait="nonsense")), "a mistake is told, not passed to the backend"
    assert not transport().accepts(request(method="POST", prefer="wait=5"))
    assert not transport().accepts(request(method="HEAD", wait="5"))
    assert not transport().accepts(request("websocket", wait="5"))


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 1s"):
        LongPollOptions.model_validate({"max_wait": "100ms"})
