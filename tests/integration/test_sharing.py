"""One poll feeds everyone with the same credentials, and nobody else."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.integration import foreign
from tests.integration.backend import Asked, Backend
from tests.integration.clients import PYTHON, Headers, Said, Stream, aiohttp_sse, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve

INTERVAL = 0.3
CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 300ms, jitter: 0%}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""
ADA, GRACE = "Bearer of-ada", "Bearer of-grace"


def one_per_interval(polls: list[Asked]) -> bool:
    """Whether there were no more than the time between the first and the last allows; one may be late."""
    return len(polls) - 2 <= (polls[-1].at - polls[0].at) / INTERVAL


async def all_hear(streams: list[Stream], kind: str) -> list[Said]:
    return await asyncio.gather(*(heard(stream, kind) for stream in streams))


async def some_polls(backend: Backend, count: int, token: str = "") -> list[Asked]:
    while len(backend.polls(token)) < count:  # noqa: ASYNC110 - a condition in another process
        await asyncio.sleep(0.02)
    return backend.polls(token)


async def open_many(stack: AsyncExitStack, url: str, headers: Headers, count: int) -> list[Stream]:
    """As many WebSockets as event streams."""
    kinds = [websockets_json, aiohttp_sse] * count
    return [await stack.enter_async_context(kind(url, None, headers)) for kind in kinds]


async def test_a_hundred_clients_cause_one_poll_per_interval(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with AsyncExitStack() as stack:
        streams = await open_many(stack, url, {}, 50)
        assert all(said.data == [{"id": 1, "stock": 12}] for said in await all_hear(streams, "snapshot"))
        streams_open = {
            labels["transport"]: value
            for name, labels, value in running.samples()
            if name == "tidegate_streams" and value
        }
        assert streams_open == {"websocket": 50, "sse": 50}
        for stock in (13, 14):
            backend.shirts[""][0]["stock"] = stock
            told = await all_hear(streams, "updated")
            assert [said.data["item"]["stock"] for said in told] == [stock] * 100
            assert len({said.id for said in told}) == 1
        polls = await some_polls(backend, 8)
        assert one_per_interval(polls)
        assert {poll.target for poll in polls} == {"/api/shirts"}
        for stream in streams:
            await stream.close()
    await running.idle()
    assert running.metrics()["tidegate_streams"] == 0


@pytest.mark.node
async def test_clients_of_every_kind_share_the_poll(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with AsyncExitStack() as stack:
        kinds = [*PYTHON.values(), *foreign.NODE.values()]
        streams = [await stack.enter_async_context(kind(url, None, {})) for kind in kinds]
        await all_hear(streams, "snapshot")
        backend.shirts[""][0]["stock"] = 5
        told = await all_hear(streams, "updated")
        assert [said.data["item"] for said in told] == [{"id": 1, "stock": 5}] * len(kinds)
        assert len({said.id for said in told}) == 1
        assert one_per_interval(await some_polls(backend, 6))


async def test_two_tokens_cause_two_polls_and_never_meet(gateway: Serve, backend: Backend) -> None:
    backend.shirts = {ADA: [{"id": 1, "owner": "ada"}], GRACE: [{"id": 1, "owner": "grace"}]}
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with AsyncExitStack() as stack:
        hers = {token: await open_many(stack, url, {"Authorization": token}, 5) for token in (ADA, GRACE)}
        for token, streams in hers.items():
            assert all(said.data == backend.shirts[token] for said in await all_hear(streams, "snapshot"))
        for change in range(3):
            for token, streams in hers.items():
                backend.shirts[token][0]["change"] = change
                told = await all_hear(streams, "updated")
                assert all(said.data["item"] == {**backend.shirts[token][0], "change": change} for said in told)
        for token in hers:
            assert one_per_interval(await some_polls(backend, 6, token))
        assert backend.polls("") == []
        assert running.metrics()["tidegate_channels"] == 2


async def test_a_position_of_one_token_shows_nothing_of_another(gateway: Serve, backend: Backend) -> None:
    """Positions are no secret: with another's, a client gets its own state from the start."""
    backend.shirts = {ADA: [{"id": 1, "owner": "ada"}], GRACE: [{"id": 1, "owner": "grace"}]}
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with httpx_sse(url, None, {"Authorization": ADA}) as stream:
        position = (await heard(stream, "snapshot")).id
    for kind in (httpx_sse, websockets_json):
        async with kind(url, position, {"Authorization": GRACE}) as stream:
            assert (await heard(stream, "snapshot")).data == [{"id": 1, "owner": "grace"}]


async def test_the_query_is_part_of_the_channel_and_live_parameters_are_not(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    async with AsyncExitStack() as stack:
        for query in ("", "?size=M", "?size=M&live.mode=snapshot", "?live.mode=snapshot"):
            stream = await stack.enter_async_context(websockets_json(f"{running.url}/api/shirts{query}", None, {}))
            await heard(stream, "snapshot")
        assert running.metrics()["tidegate_channels"] == 2
        await some_polls(backend, 6)
    assert {poll.target for poll in backend.polls()} == {"/api/shirts", "/api/shirts?size=M"}


async def test_inventing_queries_and_credentials_has_an_end(gateway: Serve, backend: Backend) -> None:
    session = "routes:\n  - path: /live\n    session: {subscribe: ['/**']}\n"
    running = gateway("limits: {channels_per_ip: 3}\n" + CONFIG.format(url=backend.url).replace("routes:\n", session))
    async with AsyncExitStack() as stack:
        for number in range(3):
            stream = await stack.enter_async_context(
                websockets_json(f"{running.url}/api/shirts?n={number}", None, {"Cookie": f"c={number}"})
            )
            await heard(stream, "snapshot")
        async with aiohttp.ClientSession() as client:
            async with client.get(
                f"{running.url}/api/shirts?n=3", headers={"Accept": "text/event-stream", "Cookie": "c=3"}
            ) as answer:
                assert answer.status == 429
                assert (await answer.json())["code"] == "too_many_channels"
            async with client.ws_connect(f"{running.ws}/live") as conversation:
                await conversation.send_json({"op": "subscribe", "id": 1, "channel": "/api/shirts?n=4"})
                said = [await conversation.receive_json() for _ in range(2)]
                assert (said[1]["error"]["code"], said[1]["error"]["status"]) == ("too_many_channels", 429)
    assert {poll.target for poll in backend.polls()} == {f"/api/shirts?n={number}" for number in range(3)}


async def test_a_token_that_the_backend_refuses_is_refused_before_the_upgrade(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer wrong"}) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{running.ws}/api/shirts")
        assert refused.value.status == 401
        async with session.get(f"{running.url}/api/shirts", headers={"Accept": "text/event-stream"}) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="shop"'
            assert json.loads(await answer.read())["code"] == "upstream_refused"
