from __future__ import annotations

from gateway.core.codes import EXPIRED, TOO_SLOW
from gateway.core.http import Request
from gateway.core.messages import Subscribe
from gateway.core.session_events import Lost
from gateway.live.flow import Flow
from gateway.live.follower import Follower
from gateway.plugin import Encoding, Refused
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from tests.live.scene import Scene

ENCODING = Encoding(encode=lambda event: event.type.encode(), kind="text")


def request() -> Request:
    return Request(kind="websocket", method="GET", target=b"/shirts", headers=(), params={}, options={})


def follower(lost: list[Lost]) -> Follower:
    return Follower(Subscribe(1, "/shirts"), "items", None, lost.append)


def join(one: Follower, scene: Scene) -> None:
    channels = scene.live.channels
    one.join(channels.get(scene.route, request()), channels.release)


async def test_from_the_first_word_to_the_end(scene: Scene) -> None:
    lost: list[Lost] = []
    one, flow = follower(lost), Flow(ManualWriter(high=1000))
    assert not one.ready
    join(one, scene)
    await turn()
    assert (one.joined, one.ready, one.channel.users) == (True, False, 1)
    await scene.state([{"id": 1}])
    assert one.ready
    assert one.refused is None
    assert one.position.endswith(".1")
    one.start(ENCODING, flow)
    one.end(TOO_SLOW)
    assert (lost[0].channel, lost[0].fault.code, lost[0].fault.status) == ("/shirts", "too_slow", 503)
    channel = one.channel
    assert one.stop(flow) == (1, len(b"snapshot"))
    assert (channel.users, channel.ends) == (0, set())


async def test_the_backends_refusal_is_what_is_told(scene: Scene) -> None:
    lost: list[Lost] = []
    one = follower(lost)
    join(one, scene)
    await turn()

    async def refuse(publish: object) -> None:
        raise Refused(403)

    await scene.source.do(refuse)
    assert [(it.fault.code, it.fault.status) for it in lost] == [("upstream_refused", 403)]
    assert one.stop(Flow(ManualWriter())) == (0, 0)


async def test_who_never_joined_leaves_nothing() -> None:
    assert follower([]).stop(Flow(ManualWriter())) == (0, 0)


async def test_another_goes_on_in_the_same_channel(scene: Scene) -> None:
    lost: list[Lost] = []
    one, two, writer = follower(lost), follower(lost), ManualWriter(high=1000)
    flow = Flow(writer)
    join(one, scene)
    await turn()
    await scene.state([{"id": 1}])
    one.start(ENCODING, flow)
    one.replaced = True
    join(two, scene)
    assert two.succeed(one)
    assert one.stop(flow) == (0, 0), "what was sent is the other's now"
    await scene.state([{"id": 1}, {"id": 2}])
    assert writer.take() == b"snapshotcreated"
    (subscription,) = flow._subscriptions
    subscription.finish(TOO_SLOW)
    assert [it.fault.code for it in lost] == ["too_slow"]
    assert two.stop(flow) == (2, len(b"snapshotcreated"))
    assert (two.channel.users, two.channel.ends) == (0, set())


async def test_where_the_one_before_has_ended_another_begins_at_its_position(scene: Scene) -> None:
    lost: list[Lost] = []
    one, two, writer = follower(lost), follower(lost), ManualWriter(high=1000)
    flow = Flow(writer)
    join(one, scene)
    await turn()
    await scene.state([{"id": 1}])
    one.start(ENCODING, flow)
    one.replaced = True
    one.end(EXPIRED)
    await scene.state([{"id": 1}, {"id": 2}])
    assert (writer.take(), lost) == (b"snapshot", [])
    join(two, scene)
    assert not two.succeed(one)
    one.stop(flow)
    two.start(ENCODING, flow)
    assert writer.take() == b"created", "it was missed, and nothing else"
    two.stop(flow)
