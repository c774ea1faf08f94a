"""In whose name a request is made; what is asked and answered is told by the tests of channels and of batches."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway_plugins.sources.poll_answer import Failed
from gateway_plugins.sources.poll_channel import PolledChannel
from gateway_plugins.sources.poll_fetcher import Fetcher
from tests.plugins.sources.scripted import Backend, Reply, ok, run
from tests.plugins.sources.together import together


def fetcher(*replies: Reply) -> tuple[Fetcher, Backend]:
    this = run(*replies)
    watch = this.watch()
    assert isinstance(watch, PolledChannel)
    return watch._fetcher, this.backend


async def test_credentials_take_the_place_of_those_before() -> None:
    ask, backend = fetcher(ok(b"[]"))
    for name in (b"a", b"b"):
        ask.speak([(b"authorization", name)])
        await ask.fetch(b"/x", [(b"if-none-match", b"1")])
    for (_, _, headers), name in zip(backend.asked, (b"a", b"b"), strict=True):
        ours, *others = headers
        assert ours == (b"authorization", b"t")
        assert others == [(b"authorization", name), (b"accept-encoding", b"identity"), (b"if-none-match", b"1")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UpstreamUnavailable("at 10.0.0.1"), "the backend cannot be reached"),
        (UpstreamTimeout("at 10.0.0.1"), "the backend did not answer in time"),
        (UpstreamProtocolError("at 10.0.0.1"), "broken off"),
    ],
)
async def test_what_keeps_a_backend_from_answering(error: UpstreamError, reason: str) -> None:
    ask, _ = fetcher(error)
    with pytest.raises(Failed, match=reason) as caught:
        await ask.fetch(b"/x", [])
    assert caught.value.code == error.code
    assert "10.0.0.1" not in caught.value.reason


async def test_a_budget_is_everybodys_only_where_the_credentials_are() -> None:
    async with together() as scene:
        assert not scene.source._tools.own
    async with together(credentials="none") as scene:
        assert scene.source._tools.own
