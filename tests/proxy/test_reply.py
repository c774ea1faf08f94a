from __future__ import annotations

import json

import pytest

from gateway.errors import UpstreamProtocolError
from tests.proxy.played import Call, Client, reply

VIA = (b"Via", b"1.1 tidegate")


async def test_a_whole_answer_is_two_messages() -> None:
    client, call = Client(), Call(201, [(b"X-a", b"1"), (b"Connection", b"x")], b"hello")
    this = reply(client)
    await this.whole(call, b"hello")
    assert client.sent == [
        {"type": "http.response.start", "status": 201, "headers": [(b"X-a", b"1"), VIA]},
        {"type": "http.response.body", "body": b"hello"},
    ]
    assert (this.status, this.sent) == (201, 5)


async def test_other_servers_want_lower_case_names() -> None:
    client, call = Client(), Call(200, [(b"X-A", b"B")])
    call.trailers = [(b"X-Sum", b"1")]
    await reply(client, wire=False).whole(call, b"")
    assert client.sent[0]["headers"] == [(b"x-a", b"B"), (b"via", b"1.1 tidegate")]
    assert "trailers" not in client.sent[0], "it did not say that it can send them"
    assert client.kinds == ["start", "body"]


@pytest.mark.parametrize("wire", [True, False], ids=["our server", "another server"])
async def test_the_reason_goes_with_the_status_where_it_can(wire: bool) -> None:
    client = Client()
    for pieces in ([b"hello"], [b"hel", b"lo"]):
        call = Call(200, None, *pieces)
        call.reason = b"Fine"
        if len(pieces) == 1:
            await reply(client, wire=wire).whole(call, b"hello")
        else:
            await reply(client, wire=wire).stream(call)
    starts = [message for message in client.sent if message["type"] == "http.response.start"]
    assert [start.get("tidegate.reason") for start in starts] == [b"Fine" if wire else None] * 2


async def test_a_whole_answer_with_trailers() -> None:
    client, call = Client(), Call()
    call.trailers = [(b"X-Sum", b"1"), (b"Content-Length", b"1")]
    await reply(client).whole(call, b"hello")
    assert client.sent[0]["trailers"] is True
    assert client.sent[2:] == [
        {"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")], "more_trailers": False}
    ]


async def test_trailers_that_may_not_be_passed_on_are_none() -> None:
    client, call = Client(), Call()
    call.trailers = [(b"Content-Length", b"1")]
    await reply(client).whole(call, b"hello")
    assert "trailers" not in client.sent[0]
    assert client.kinds == ["start", "body"]


async def test_a_streamed_answer() -> None:
    client, call = Client(), Call(200, [(b"Content-Length", b"10")], b"hello", b"world")
    this = reply(client)
    await this.stream(call)
    assert client.kinds == ["start", "body", "body", "body", "body"]
    assert [message["more_body"] for message in client.sent[1:]] == [True, True, True, False]
    assert client.sent[1]["body"] == b"", "lets the head go before there is a body"
    assert client.body == b"helloworld"
    assert (this.status, this.sent, this.streaming) == (200, 10, False)


async def test_a_head_whose_body_is_at_hand_goes_with_it() -> None:
    client, call = Client(), Call(200, None, b"hello", b"world")
    call.buffered = 5
    await reply(client).stream(call)
    assert client.sent[1]["body"] == b"hello"


async def test_a_chunked_answer_may_have_trailers() -> None:
    client, call = Client(), Call(200, [(b"TRANSFER-ENCODING", b"chunked")], b"a", b"b")
    await reply(client).stream(call)
    assert client.sent[0]["trailers"] is True
    assert client.sent[-1] == {"type": "http.response.trailers", "headers": [], "more_trailers": False}


@pytest.mark.parametrize("kind", [b"text/event-stream", b"Text/Event-Stream; charset=utf-8"])
async def test_an_event_stream_is_known(kind: bytes) -> None:
    this = reply(Client())
    await this.stream(Call(200, [(b"Content-TYPE", kind)], b"a", b"b"))
    assert this.streaming


async def test_an_answer_that_breaks_off_is_not_ended() -> None:
    client, call = Client(), Call(200, None, b"hello")
    call.error = UpstreamProtocolError("broke off")
    this = reply(client)
    with pytest.raises(UpstreamProtocolError):
        await this.stream(call)
    assert all(message["more_body"] for message in client.sent[1:])
    assert this.sent == 5


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_problem(method: str) -> None:
    client = Client()
    this = reply(client, method=method)
    await this.problem(504, "upstream_timeout", "too late")
    assert client.sent[0]["status"] == this.status == 504
    length = int(dict(client.sent[0]["headers"])[b"content-length"])
    if method == "HEAD":
        assert (client.body, this.sent) == (b"", 0)
    else:
        assert json.loads(client.body)["detail"] == "too late"
        assert this.sent == length == len(client.body)


async def test_good_answers_get_the_headers_of_their_route_and_others_do_not() -> None:
    added = [(b"link", b"<>; rel=alternate")]
    for status, expected in ((200, [VIA, *added]), (304, [VIA, *added]), (404, [VIA]), (500, [VIA])):
        client = Client()
        await reply(client, added=added).whole(Call(status, []), b"")
        assert client.sent[0]["headers"] == expected
