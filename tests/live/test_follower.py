from __future__ import annotations

import pytest

from gateway.core.codes import TOO_SLOW
from gateway.core.http import Request
from gateway.core.identity import Identity
from gateway.core.session import Lost
from gateway.errors import ClientError
from gateway.live.flow import Flow
from gateway.live.follower import Follower
from gateway.plugin import Encoding, Refused
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from tests.live.scene import Scene

ENCODING = Encoding(encode=lambda event: event.type.encode(), kind="text")


def follower(scene: Scene, lost: list[Lost], **options: str) -> Follower:
    options = {f"live.{name}": value for name, value in options.items()}
    request = Request(kind="websocket", method="GET", target=b"/shirts", headers=(), params={}, options=options)
    return Follower("/shirts", request, scene.route, lost.append)


async def test_from_the_first_word_to_the_end(scene: Scene) -> None:
    lost: list[Lost] = []
    one, flow = follower(scene, lost), Flow(ManualWriter(high=1000))
    assert not one.ready
    one.join(scene.live.channels, Identity(subject="ada"))
    await turn()
    assert (one.joined, one.ready, one.channel.users) == (True, False, 1)
    assert one.request.identity is not None
    await scene.state([{"id": 1}])
    assert one.ready
    assert one.refused is None
    assert one.position.endswith(".1")
    one.start(ENCODING, flow)
    one.end(TOO_SLOW)
    assert (lost[0].channel, lost[0].fault.code, lost[0].fault.status) == ("/shirts", "too_slow", 503)
    channel = one.channel
    assert one.stop(scene.live.channels, flow) == (1, len(b"snapshot"))
    assert (channel.users, channel.ends) == (0, set())


async def test_the_backends_refusal_is_what_is_told(scene: Scene) -> None:
    lost: list[Lost] = []
    one = follower(scene, lost)
    one.join(scene.live.channels, None)
    await turn()

    async def refuse(publish: object) -> None:
        raise Refused(403)

    await scene.source.do(refuse)
    assert [(it.fault.code, it.fault.status) for it in lost] == [("upstream_refused", 403)]
    assert one.stop(scene.live.channels, Flow(ManualWriter())) == (0, 0)


async def test_what_means_nothing_is_refused_at_once(scene: Scene) -> None:
    for options in ({"mode": "loud"}, {"since": "x"}):
        with pytest.raises(ClientError):
            follower(scene, [], **options)
    one = follower(scene, [])
    assert one.stop(scene.live.channels, Flow(ManualWriter())) == (0, 0)
