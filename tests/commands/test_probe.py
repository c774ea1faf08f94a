from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.probe import PAUSE, probe, upstream_settings
from gateway.config import load
from gateway.core.http import Answer
from gateway.testing.clock import ManualClock
from tests.commands.played import Played, json_answer


class Jumping(ManualClock):
    """A clock on which sleeping is free."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


async def probed(*answers: Answer, url: str = "http://127.0.0.1:9000/api/a%20b?x=1") -> tuple[str, Played, list[str]]:
    upstream, said = Played(*answers), list[str]()
    text = await probe(url, [], upstream, Jumping(), 3 * PAUSE, said.append)
    return text, upstream, said


async def test_it_looks_a_few_times_and_proposes_what_checks(tmp_path: Path) -> None:
    first, second = (
        json_answer({"data": [{"id": 1, "n": 1}]}, etag='"1"'),
        json_answer({"data": [{"id": 1}]}, etag='"2"'),
    )
    text, upstream, said = await probed(first, json_answer(None, 304), second, second)
    assert len(said) == len(upstream.asked) == 4
    assert upstream.asked[0] == (b"/api/a%20b?x=1", [])
    assert upstream.asked[2][1] == [(b"if-none-match", b'"1"')]
    (tmp_path / "proposed.yaml").write_text(text)
    config = load(str(tmp_path / "proposed.yaml"), {})
    route = config.routes[0]
    assert str(route.path) == "/api/a b"
    assert route.live is not None
    assert route.live.items is not None
    assert (route.live.items.at, route.live.items.key) == ("data", ("id",))
    assert "1 of 3 conditional requests were answered 304" in text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (json_answer(None, 401), "answered 401; give what it wants with --header"),
        (Answer(status=200, headers=(), body=b"<html>"), "not JSON"),
    ],
)
async def test_what_cannot_be_watched(answer: Answer, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        await probed(answer)


@pytest.mark.parametrize("url", ["x", "/x", "ftp://h/x", "http://u:p@h/x", "http:///x"])
def test_what_is_no_backend(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL"):
        upstream_settings(url)


def test_backends() -> None:
    assert upstream_settings("https://api.example/x").port == 443
    assert upstream_settings("http://[::1]:8/x").host == "::1"
