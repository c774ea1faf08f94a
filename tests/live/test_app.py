"""Streams from handshake to end, without a server."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from gateway.core.codes import FORBIDDEN, INTERNAL, NO_CHANNEL, NORMAL, RESTART, UNAUTHENTICATED, Disconnect
from gateway.core.identity import Identity
from gateway.errors import ClientError
from gateway.plugin import Publisher, Refused, Status
from gateway.testing.source import Step, turn
from tests.live.scene import Client, Scene


def refuse(status: int) -> Step:
    async def step(publish: Publisher) -> None:
        raise Refused(status, [(b"www-authenticate", b"Basic")])

    return step


def status_of(state: Status) -> Step:
    async def step(publish: Publisher) -> None:
        publish.status(state)

    return step


async def test_the_first_subscriber_starts_the_source_and_waits_for_its_first_word(scene: Scene) -> None:
    client = await scene.open()
    assert [target.target for target in scene.source.running] == [b"/shirts"]
    assert client.status is None
    await scene.state([{"id": 1}])
    assert client.status == 200
    assert client.writer.take() == b'hello\n{"id": "%s.1", "type": "snapshot", "data": [{"id": 1}]}\n' % epoch(scene)


def epoch(scene: Scene) -> bytes:
    running = next(iter(scene.live._channels._running.values()))
    return running.channel.log.head.epoch.encode()


async def test_equal_credentials_share_one_source_and_others_never_meet(scene: Scene) -> None:
    one, two, other = [await scene.open(token=token) for token in ("a", "a", "b")]
    assert len(scene.source.running) == 2
    await scene.state([{"id": 1}])
    heard = [client.heard() for client in (one, two, other)]
    assert heard[0] == heard[1] != []
    assert heard[2] == []
    await scene.state([{"id": 2}])
    assert [len(client.heard()) for client in (one, two, other)] == [0, 0, 1]


async def test_the_query_makes_another_channel_but_not_the_gateways_part_of_it(scene: Scene) -> None:
    await scene.open("live.mode=patch")
    await scene.open()
    assert [target.target for target in scene.source.running] == [b"/shirts"]
    await scene.open("page=2")
    assert [target.target for target in scene.source.running] == [b"/shirts", b"/shirts?page=2"]


async def test_items_patches_snapshots_and_hints(scene: Scene) -> None:
    clients = [await scene.open(f"live.mode={mode}") for mode in ("items", "patch", "snapshot", "notify")]
    await scene.state([{"id": 1, "note": "x" * 300}, {"id": 2}])
    for client in clients:
        client.writer.take()
    await scene.state([{"id": 1, "note": "x" * 300}, {"id": 2, "n": 1}, {"id": 3}])
    types = [[line.split(b'"type": "')[1].split(b'"')[0] for line in c.writer.take().splitlines()] for c in clients]
    assert types == [[b"updated", b"created"], [b"patch"], [b"snapshot"], [b"notify"]]
    await scene.state([{"id": 1, "note": "x" * 300}, {"id": 2, "n": 1}, {"id": 3}])
    assert [client.writer.take() for client in clients] == [b""] * 4


async def test_a_newcomer_gets_the_state_at_once_and_a_returner_what_it_missed(scene: Scene) -> None:
    first = await scene.open()
    await scene.state([{"id": 1}])
    await scene.state([{"id": 1}, {"id": 2}])
    snapshot, created = first.heard()
    late = await scene.open()
    assert late.heard() == [created]
    returner = await scene.open(f"live.since={snapshot}")
    assert returner.heard() == [created]
    stranger = await scene.open("live.since=other.7")
    assert b'"reset": true' in stranger.writer.take()


async def test_a_refusal_by_the_backend_is_an_http_answer_in_the_handshake(scene: Scene) -> None:
    for status in (401, 403, 404, 410):
        client = await scene.open()
        await scene.source.do(refuse(status))
        assert client.status is None
        assert (scene.refused[-1].status, scene.refused[-1].headers) == (status, ((b"www-authenticate", b"Basic"),))
    assert not scene.source.running
    assert len(scene.source.started) == 4, "a refused channel is not kept for the next client"


@pytest.mark.parametrize(("status", "close"), [(401, UNAUTHENTICATED), (403, FORBIDDEN), (404, NO_CHANNEL)])
async def test_a_refusal_later_closes_the_streams(scene: Scene, status: int, close: Disconnect) -> None:
    client = await scene.open()
    await scene.state([])
    await scene.source.do(refuse(status))
    assert client.writer.closed == (close.code, close.reason)


async def test_a_backend_that_fails_first_still_gets_the_stream_opened_with_a_status(scene: Scene) -> None:
    client = await scene.open()
    await scene.source.do(status_of(Status(state="error", reason="down", retry_in=1.23456)))
    assert client.status == 200
    assert b'"state": "error"' in client.writer.taken + client.writer.take()
    await scene.source.do(status_of(Status(state="error", reason="still")))
    assert client.writer.take() == b"", "the same state is told once"
    await scene.state([])
    await scene.source.do(status_of(Status(state="ok")))
    assert [type for type in client.heard() if type == "status"] == ["status"]


async def test_the_source_lingers_after_the_last_subscriber_and_then_stops(scene: Scene) -> None:
    client = await scene.open()
    await scene.state([])
    await client.leave()
    scene.clock.advance(29)
    await turn()
    assert scene.source.running
    again = await scene.open()
    assert len(scene.source.started) == 1
    await again.leave()
    for _ in range(31):
        scene.clock.advance(1)
        await turn()
    assert not scene.source.running
    assert scene.stats.routes["shirts"].channels == 0


async def test_too_many_channels_are_refused(scene: Scene) -> None:
    for page in range(3):
        await scene.open(f"page={page}")
    with pytest.raises(ClientError, match="its limit") as caught:
        await scene.open("page=4")
    assert (caught.value.status, caught.value.headers) == (429, ((b"retry-after", b"30"),))
    await scene.open("page=1")


async def test_bad_requests_are_refused_before_the_backend_is_asked(scene: Scene) -> None:
    for query in ("live.mode=x", "live.since=x", "live.foo=1", "live.interval=1"):
        with pytest.raises(ClientError):
            await scene.open(query)
    assert not scene.source.started


async def test_a_quiet_line_carries_heartbeats(scene: Scene) -> None:
    client = await scene.open()
    await scene.state([])
    client.writer.take()
    for _ in range(26):
        scene.clock.advance(1)
        await turn()
    assert client.writer.take() == b"heartbeat\n"


@pytest.mark.parametrize("accept", ["lines", "text/event-stream"])
async def test_a_client_hears_of_changes_at_most_as_often_as_it_asks(scene: Scene, accept: str) -> None:
    client = await scene.open("live.interval=5s", accept=accept)
    for count in range(4):
        await scene.state([{"id": number} for number in range(count)])
    assert client.writer.take().count(b"created") == 1
    for _ in range(5):
        assert client.writer.take() == b""
        scene.clock.advance(1)
        await turn()
    assert client.writer.take().count(b"created") == 2


async def test_a_poll_has_no_interval(scene: Scene) -> None:
    await scene.open("live.wait=10&live.interval=5s", accept="*/*")
    await scene.state([])
    (error,) = scene.refused
    assert (error.status, error.code) == (400, "bad_interval")


async def test_what_a_client_may_not_say_closes_its_stream_alone(scene: Scene) -> None:
    bad, good = await scene.open(), await scene.open()
    await scene.state([])
    bad.inbox.put_nowait({"type": "websocket.receive", "text": "hi"})
    await turn()
    assert bad.writer.closed == (4400, "no messages here")
    assert good.writer.closed is None
    assert scene.access.ends[0].received == 1


async def test_a_bug_in_a_transport_closes_its_stream_and_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    client = await scene.open()
    await scene.state([])
    client.inbox.put_nowait({"type": "websocket.receive", "text": "crash"})
    await turn()
    assert client.writer.closed == (INTERNAL.code, INTERNAL.reason)
    assert "ZeroDivisionError" in caplog.text


async def test_closing_sends_everyone_away_with_a_reason_to_come_back(scene: Scene) -> None:
    client, waiting = await scene.open(), await scene.open("page=2")
    await scene.state([])
    await scene.live.close()
    assert client.writer.closed == (RESTART.code, RESTART.reason)
    with pytest.raises(ClientError) as caught:
        await scene.open()
    assert caught.value.status == 503
    await turn()
    assert scene.refused[-1].status == 503
    assert waiting.task is not None
    assert waiting.task.done()


async def test_counts_and_log_lines_of_a_stream(scene: Scene) -> None:
    client = await scene.open()
    await scene.state([{"id": 1}])
    await scene.state([{"id": 1}, {"id": 2}])
    stats = scene.stats.routes["shirts"].streams["lines"]
    assert (stats.open, stats.opened, stats.messages) == (1, 1, 2)
    scene.clock.advance(5)
    await client.leave()
    assert scene.access.lines == [("open", "1", "shirts", "lines"), ("close", "1", "shirts", "lines")]
    end = scene.access.ends[0]
    assert (end.messages, end.bytes, end.seconds, end.label) == (2, stats.bytes, 5.0, "client_gone")
    assert (stats.open, stats.closed["client_gone"]) == (0, 1)
    events = scene.stats.routes["shirts"].events
    assert (events["snapshot"], events["created"]) == (1, 1)
    assert NORMAL.label not in stats.closed


async def test_a_crashing_source_is_started_again_and_subscribers_keep_their_data(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(publish: Publisher) -> None:
        raise ZeroDivisionError("in the source")

    client = await scene.open()
    await scene.state([{"id": 1}])
    client.writer.take()
    with caplog.at_level(logging.ERROR):
        await scene.source.do(crash)
    assert "ZeroDivisionError" in caplog.text
    assert client.heard() == ["status"]
    scene.clock.advance(120)
    await turn(10)
    assert len(scene.source.started) == 2
    await scene.state([{"id": 1}, {"id": 2}])
    assert len(client.heard()) == 1


async def poll(scene: Scene, since: str = "", wait: int = 10) -> Client:
    return await scene.open(f"live.wait={wait}" + (f"&live.since={since}" if since else ""), accept="*/*")


def answer(client: Client) -> tuple[list[str], str]:
    """The ids (or types) of a long poll's events, and where it goes on."""
    assert client.status == 200
    assert dict(client.sent[0]["headers"])[b"content-length"] == b"%d" % len(client.body)
    body = json.loads(client.body)
    return [event.get("id", event["type"]) for event in body["events"]], body["next"]


async def test_a_poll_is_answered_at_once_when_there_is_something(scene: Scene) -> None:
    first = await poll(scene)
    await scene.state([{"id": 1}])
    events, position = answer(first)
    assert events == [position]
    await scene.state([{"id": 1}, {"id": 2}])
    await scene.state([{"id": 1}, {"id": 2}, {"id": 3}])
    events, after = answer(await poll(scene, position))
    assert [event.split(".")[1] for event in events] == ["2", "3"]
    assert after == events[-1]


async def test_a_poll_at_the_head_waits_and_nothing_is_lost_between_two(scene: Scene) -> None:
    first = await poll(scene)
    await scene.state([{"id": 1}])
    heard, position = answer(first)
    for number in range(2, 6):
        waiting = await poll(scene, position)
        assert waiting.status is None
        await scene.state([{"id": n} for n in range(1, number + 1)])
        events, position = answer(waiting)
        heard += events
        await scene.state([{"id": n, "again": True} for n in range(1, number + 1)])  # nobody polls now
        events, position = answer(await poll(scene, position))
        heard += events
    assert len(heard) == len(set(heard))
    offsets = [int(event.split(".")[1]) for event in heard]
    assert offsets == list(range(1, offsets[-1] + 1))


async def test_a_poll_ends_with_its_wait_and_keeps_its_place(scene: Scene) -> None:
    first = await poll(scene)
    await scene.state([{"id": 1}])
    _, position = answer(first)
    waiting = await poll(scene, position)
    scene.clock.advance(9)
    await turn()
    assert waiting.status is None
    scene.clock.advance(1)
    await turn()
    assert answer(waiting) == ([], position)
    assert answer(await poll(scene, position, wait=0)) == ([], position)


async def test_a_poll_from_elsewhere_is_sent_the_state_and_told_so(scene: Scene) -> None:
    await scene.open()
    await scene.state([{"id": 1}])
    client = await poll(scene, "other.12")
    [event] = json.loads(client.body)["events"]
    assert (event["type"], event["reset"]) == ("snapshot", True)


async def test_bad_news_is_told_once_a_wait_and_not_in_a_circle(scene: Scene) -> None:
    first = await poll(scene)
    await scene.source.do(status_of(Status(state="error", reason="down")))
    events, position = answer(first)
    assert events == ["status"]
    waiting = await poll(scene, position)
    assert waiting.status is None
    scene.clock.advance(10)
    await turn()
    assert answer(waiting) == (["status"], position)
    waiting = await poll(scene, position)
    await scene.state([{"id": 1}])
    events, position = answer(waiting)
    assert events == [position]
    waiting = await poll(scene, position)
    await scene.source.do(status_of(Status(state="ok")))
    assert answer(waiting)[0] == ["status"]


async def test_a_position_of_a_stream_that_has_no_state_yet_is_kept(scene: Scene) -> None:
    await scene.open()
    await scene.source.do(status_of(Status(state="error", reason="down")))
    assert answer(await poll(scene, "other.12", wait=0)) == (["status"], "other.12")


@pytest.mark.parametrize(("status", "answered"), [(401, 401), (403, 403), (404, 404), (410, 410)])
async def test_a_waiting_poll_is_refused_as_a_request_is(scene: Scene, status: int, answered: int) -> None:
    first = await poll(scene)
    await scene.state([])
    await poll(scene, answer(first)[1])
    await scene.source.do(refuse(status))
    await turn()
    assert scene.refused[-1].status == answered
    assert scene.access.ends[-1].label != "normal"


async def test_a_poll_says_how_far_it_got_and_not_how_far_the_channel_is(scene: Scene) -> None:
    first = await poll(scene)
    await scene.state([])
    waiting = await poll(scene, answer(first)[1])
    heard: list[str] = []

    async def one_each_turn(publish: Publisher) -> None:
        for number in range(8):
            await publish.state([{"id": number}])
            await asyncio.sleep(0)  # the answer is made in one of these turns

    await scene.source.do(one_each_turn)
    for client in (waiting, await poll(scene, answer(waiting)[1])):
        events, reached = answer(client)
        heard += events
        assert reached == events[-1]
    assert [int(event.rpartition(".")[2]) for event in heard] == list(range(2, 2 + len(heard)))
    assert len(answer(waiting)[0]) < len(heard), "the channel went on before the answer was made"


async def test_a_waiting_poll_is_sent_away_when_the_gateway_ends(scene: Scene) -> None:
    first = await poll(scene)
    await scene.state([])
    await poll(scene, answer(first)[1])
    await scene.live.close()
    await turn()
    assert (scene.refused[-1].status, scene.refused[-1].headers) == (503, ((b"retry-after", b"1"),))


async def test_a_poll_that_is_cut_leaves_nothing_behind(scene: Scene) -> None:
    first = await poll(scene)
    await scene.state([])
    waiting = await poll(scene, answer(first)[1])
    await waiting.leave()
    assert waiting.task is not None
    assert waiting.task.done()
    assert scene.access.ends[-1].label == "client_gone"
    stats = scene.stats.routes["shirts"].streams["long_poll"]
    assert (stats.open, stats.opened, stats.messages) == (0, 2, 1)


async def test_a_client_that_leaves_while_the_backend_hangs_is_let_go(scene: Scene) -> None:
    for kind in ("http", "websocket"):
        client = await scene.open(kind=kind)
        if kind == "websocket":
            client.inbox.put_nowait({"type": "websocket.connect"})
            await turn()
        await client.leave()
        assert client.task is not None
        assert client.task.done()
        assert client.sent == []
    assert scene.access.lines == [("request", "shirts", "499")] * 2
    assert scene.access.ends == []


async def test_a_stream_over_http_is_told_why_it_ends(scene: Scene) -> None:
    client = await scene.open(accept="text/event-stream")
    await scene.state([])
    client.writer.take()
    await scene.live.close()
    data = b'{"code":1012,"reason":"the gateway restarts, reconnect with jitter","reconnect":true}'
    assert client.writer.take() == b"event: close\ndata: " + data + b"\n\n"


async def test_a_head_is_answered_with_the_streams_headers_alone(scene: Scene) -> None:
    client = await scene.open(accept="text/event-stream", method="HEAD")
    await scene.state([])
    start, body = client.sent
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"text/event-stream")
    assert b"content-length" not in dict(start["headers"])
    assert body == {"type": "http.response.body", "body": b""}
    assert scene.access.lines == [("request", "shirts", "200")]


async def test_the_most_wanted_transport_carries(scene: Scene) -> None:
    client = await scene.open("live.wait=5", accept="text/event-stream")
    await scene.state([])
    assert scene.access.lines[0][3] == "sse"
    await client.leave()


async def test_a_stream_ends_when_its_credentials_do(scene: Scene) -> None:
    expires = scene.clock.time() + 100
    brief = await scene.open(identity=Identity(subject="ada", expires=expires))
    lasting = await scene.open(identity=Identity(subject="bob"))
    left = await scene.open(identity=Identity(subject="eve", expires=expires))
    await scene.state([])
    await left.leave()
    scene.clock.advance(99)
    await turn()
    assert brief.writer.closed is None
    scene.clock.advance(2)
    await turn()
    assert brief.writer.closed == (4409, "the credentials have expired")
    assert lasting.writer.closed is None
    assert len(scene.live._expiries) == 0, "the one that left is not kept until its time"
