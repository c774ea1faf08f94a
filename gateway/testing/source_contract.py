"""What every source must do, as tests: subclass `SourceContract` in a test file, and pytest runs them.

The source is run by the gateway itself, for clients that read lines of JSON (`gateway.testing.stage`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar, cast

from gateway.core.event import Json
from gateway.plugin import AnySource, Context, Options, Plugin, Transport, Upstream
from gateway.plugin.registry import find
from gateway.testing.fold import Fold
from gateway.testing.play import play
from gateway.testing.stage import Ask, Stage, StageClient

C = TypeVar("C", bound="SourceContract")

_LINES = Ask(headers=[(b"accept", b"application/x-ndjson")])

ONE: Json = [{"id": 1, "n": 1}]
TWO: Json = [{"id": 1, "n": 2}, {"id": 2}]


def sourced(test: Callable[[C, Stage], Awaitable[None]]) -> Callable[[C], None]:
    """A test on a stage whose source is the one to test."""

    def run(self: C) -> None:
        async def scene() -> None:
            lines = cast("Plugin[Options, Transport]", find("transports")["ndjson"].load())
            async with Stage(lines, source=self.make, upstream=self.upstream()) as stage:
                await test(self, stage)

        play(scene())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class SourceContract:
    """Say what the source is called, and how it comes to see a state."""

    name: str
    """as in the entry point"""
    options: Mapping[str, Json] = {}
    """as in the configuration file"""

    def upstream(self) -> Upstream | None:
        """The backend that the source asks; none for one that asks elsewhere. Made anew for each test."""
        return None

    async def show(self, stage: Stage, document: Json) -> None:
        """Let the source see that the resource is this now, and wait until it must have told; time is the stage's."""
        raise NotImplementedError

    def plugin(self) -> Plugin[Options, AnySource]:
        """The installed plugin."""
        return cast("Plugin[Options, AnySource]", find("sources")[self.name].load())

    def make(self, context: Context) -> AnySource:
        plugin = self.plugin()
        return plugin.make(plugin.options.model_validate(self.options), context)

    @sourced
    async def test_equal_requests_share_and_credentials_are_not_in_the_key(self, stage: Stage) -> None:
        source = self.make(stage.context)
        asks = [[(b"authorization", token)] for token in (b"s3cret", b"s3cret", b"other")]
        mine, same, other = (source.share(stage.request("http", "GET", headers)) for headers in asks)
        assert mine == same
        assert b"s3cret" not in mine.key
        assert (mine.key == other.key) == (mine.headers == other.headers), "what goes upstream must be in the key"

    @sourced
    async def test_subscribers_are_told_the_state_and_its_changes(self, stage: Stage) -> None:
        client = await stage.open(_LINES)
        for document in (ONE, TWO, ONE, []):
            await self.show(stage, document)
            assert state(client) == document

    @sourced
    async def test_it_runs_while_somebody_follows_and_again_for_the_next(self, stage: Stage) -> None:
        for document in (ONE, TWO):
            client = await stage.open(_LINES)
            await self.show(stage, document)
            assert state(client) == document
            await client.leave()
            await stage.pass_time(int(stage.settings.linger) + 2)
            assert "channels=0" in repr(stage.live)

    @sourced
    async def test_channels_do_not_share_what_it_knows(self, stage: Stage) -> None:
        one = await stage.open(_LINES, "page=1")
        await self.show(stage, ONE)
        other = await stage.open(_LINES, "page=2")
        await self.show(stage, ONE)
        assert [event["type"] for event in heard(other)] == ["snapshot"], "another channel begins with a state"
        assert [event["type"] for event in heard(one)] == ["snapshot"]

    @sourced
    async def test_it_may_be_cancelled_wherever_it_waits(self, stage: Stage) -> None:
        for page in range(8):
            client = await stage.open(_LINES, f"page={page}", turns=page)
            await client.leave()
        await self.show(stage, ONE)
        await stage.live.close()


def state(client: StageClient) -> Json:
    """What the client makes of all that it was told."""
    fold = Fold()
    fold.all(heard(client))
    return fold.state


def heard(client: StageClient) -> list[dict[str, Json]]:
    """All that the client was told of the resource so far; a source may speak of its freshness as it likes."""
    client.writer.take()
    events = [json.loads(line) for line in client.received[0].splitlines() if line]
    return [event for event in events if event["type"] != "status"]
