from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from gateway.commands.streams import Ended, Event, Transport, Wanted
from gateway.commands.tail import FALLBACK, LONGEST, Followed, Refused, events, followed_url
from gateway.testing.clock import ManualClock

Script = list[Event | Ended]


class Jumping(ManualClock):
    """A clock on which sleeping is free, and noted."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Stage:
    """Transports that play scripts, one for each connection; `asked` are the positions they were opened at."""

    def __init__(self, **scripts: list[Script]) -> None:
        self.scripts = scripts
        self.asked: list[tuple[str, str | None]] = []
        self.clock = Jumping()
        self.warned: list[str] = []
        self.refused = ""
        self.transports = {name: self._transport(name) for name in scripts}

    def _transport(self, name: str) -> Transport:
        async def play(wanted: Wanted) -> AsyncGenerator[Event, None]:
            self.asked.append((name, wanted.since))
            script = self.scripts[name].pop(0)
            for number, step in enumerate(script):
                if isinstance(step, Ended):
                    raise step
                if number == 0:
                    wanted.opened()
                yield step

        return play

    async def heard(self, since: str | None = None) -> list[Event]:
        """All events until it is refused."""
        url = followed_url("http://x/a")
        followed = Followed(url=url, headers=[], since=since, transports=tuple(self.scripts))
        heard: list[Event] = []
        try:
            async for event in events(followed, self.transports, self.clock, self.warned.append):
                heard.append(event)  # noqa: PERF401 - those before it is refused count
        except Refused as refused:
            self.refused = str(refused)
        return heard


def event(number: int) -> Event:
    return {"id": f"e.{number}", "type": "updated", "data": {"key": number}}


async def test_it_continues_after_the_last_event() -> None:
    status: Event = {"type": "status", "data": {"state": "ok"}}
    stage = Stage(
        websocket=[[event(1), status, Ended("cut")], [event(2)], [Ended("no")], [event(3), Ended("gone", final=True)]]
    )
    assert await stage.heard("e.0") == [event(1), status, event(2), event(3)]
    assert stage.asked == [("websocket", "e.0"), ("websocket", "e.1"), ("websocket", "e.2"), ("websocket", "e.2")]
    assert stage.refused == "websocket: gone"
    assert [line.partition(";")[0] for line in stage.warned] == [
        "websocket: cut", "websocket: the stream ended", "websocket: no"
    ]  # fmt: skip
    assert all(0 < pause <= LONGEST for pause in stage.clock.slept)


async def test_what_does_not_get_through_is_left_for_the_next_and_not_tried_again() -> None:
    stage = Stage(
        websocket=[[Ended("426")]],
        sse=[[Ended("buffered")]],
        long_poll=[[event(1), Ended("cut")], [Ended("gone", final=True)]],
    )
    assert await stage.heard() == [event(1)]
    assert [name for name, _ in stage.asked] == ["websocket", "sse", "long_poll", "long_poll"]
    assert stage.warned[0] == "websocket: 426; trying sse"
    assert stage.clock.slept[:2] == [0, 0]


async def test_without_any_it_ends_with_the_last_reason() -> None:
    stage = Stage(websocket=[[Ended("a")]], sse=[[Ended("b")]])
    assert await stage.heard() == []
    assert stage.refused == "sse: b"


async def test_a_pause_that_was_asked_for_is_kept() -> None:
    stage = Stage(websocket=[[event(1), Ended("restart", pause=30)], [Ended("x", final=True)]])
    await stage.heard()
    assert stage.clock.slept == [30]


@pytest.mark.parametrize(("reconnect", "connections"), [(True, 2), (False, 1)])
async def test_the_last_event_of_an_http_stream_says_what_to_do(reconnect: bool, connections: int) -> None:
    close: Event = {"type": "close", "data": {"code": 1012, "reason": "restart", "reconnect": reconnect}}
    stage = Stage(sse=[[event(1), close], [Ended("x", final=True)]])
    assert await stage.heard() == [event(1), close]
    assert len(stage.asked) == connections


@pytest.mark.parametrize(
    ("text", "url"),
    [("ws://h/a?b=1", "http://h/a?b=1"), ("wss://h", "https://h"), ("http://[::1]:8/x", "http://[::1]:8/x")],
)
def test_urls(text: str, url: str) -> None:
    assert followed_url(text).geturl() == url


@pytest.mark.parametrize("text", ["h/a", "ftp://h", "http://", "http://a:b@h/", "http://h:x/", "http://h/#a"])
def test_no_urls(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a URL|[Pp]ort"):
        followed_url(text)


def test_the_fallback_is_what_browsers_do() -> None:
    assert FALLBACK == ("websocket", "sse", "long_poll")
