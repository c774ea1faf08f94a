from __future__ import annotations

import json
from typing import cast

import pytest

from gateway.plugin import Options, Plugin, Transport
from gateway.plugin.registry import find
from gateway.testing.stage import Ask, Stage, framed, messages

LINES = cast("Plugin[Options, Transport]", find("transports")["ndjson"].load())
ASK = Ask(headers=[(b"accept", b"application/x-ndjson")])


@pytest.mark.parametrize("tail", [b"", b"\0", b"\0\0\0\3ab"])
def test_messages_are_kept_apart(tail: bytes) -> None:
    assert messages(framed(b"one") + framed(b"") + framed(b"two\n") + tail) == [b"one", b"", b"two\n"]


async def test_a_client_reads_what_is_published() -> None:
    async with Stage(LINES) as stage:
        client = await stage.open(ASK)
        await stage.publish([{"id": 1}])
        assert client.received == [b""], "it reads when it is told to"
        client.writer.take()
        assert json.loads(client.received[0])["data"] == [{"id": 1}]
        assert stage.audiences == 1
        await stage.fail("down")
        assert b"stale" in client.writer.take()
        await client.leave()
        assert client.over


async def test_a_client_that_is_refused_at_once() -> None:
    async with Stage(LINES) as stage:
        client = await stage.open(ASK, "live.mode=nonsense")
        assert client.over
        assert client.refused is not None
        assert client.refused.code == "bad_mode"
