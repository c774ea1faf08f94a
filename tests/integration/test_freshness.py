"""How fresh a state is: polled before anybody follows, its age told, and what clients hear while a backend fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.backend import Backend
from tests.integration.clients import TRANSPORTS, Headers, Said, Stream, heard, of_envelope, websockets_json
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import come

ALWAYS = """\
upstreams:
  shop: {{url: "{url}", host: upstream}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: {interval}, always: true, credentials: none}}, items: {{key: id}}, linger: 0s}}
"""


def start(gateway: Serve, backend: Backend, interval: str) -> Gateway:
    return gateway(ALWAYS.format(url=backend.url, interval=interval))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_first_client_is_answered_from_what_is_there(
    gateway: Serve, backend: Backend, transport: str
) -> None:
    running = start(gateway, backend, "1h")
    await come(lambda: running.metrics().get("tidegate_source_polls_total") == 1, "a poll for nobody")
    async with TRANSPORTS[transport](f"{running.url}/api/shirts", None, {"Authorization": "Bearer ada"}) as stream:
        assert (await heard(stream, "snapshot")).data == [{"id": 1, "stock": 12}]
    assert len(backend.asked) == 1
    assert backend.asked[0].header("authorization") == ""


async def test_a_backend_that_is_down_or_refuses_at_the_start_is_asked_again(gateway: Serve, backend: Backend) -> None:
    await backend.stop()
    running = start(gateway, backend, "200ms")
    await come(lambda: running.metrics().get("tidegate_channels_failing") == 1, "a failing channel")
    shirts = backend.shirts.pop("")
    await backend.start()
    await come(lambda: "the backend answered 401" in running.process.text, "a refusal in the log")
    backend.shirts[""] = shirts
    await come(lambda: polls(running, "changed") == 1, "a state")
    assert running.process.end() == 0
    assert "Traceback" not in running.process.text


def polls(running: Gateway, result: str) -> float:
    samples = [(labels["result"], value) for name, labels, value in running.samples() if name.endswith("polls_total")]
    return sum(value for found, value in samples if found == result)


GONE = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms, terminal: [404, 410]}}, items: {{key: id}}}}
"""


async def test_what_is_gone_for_good_ends_and_may_come_back(gateway: Serve, backend: Backend) -> None:
    running = gateway(GONE.format(url=backend.url))
    url = f"{running.url}/api/shirts".replace("http", "ws", 1)
    async with connect(url) as socket:
        assert "snapshot" in str(await socket.recv())
        backend.mode = "gone"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404
    with pytest.raises(InvalidStatus) as refused:
        await connect(url)
    assert refused.value.response.status_code == 404
    backend.mode = "ok"
    async with connect(url) as socket:
        assert "snapshot" in str(await socket.recv())


AGING = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 1h, tolerate: 0, max_backoff: 1h}}, items: {{key: id}}, {more}}}
  - path: /live
    session: {{subscribe: ["/**"]}}
  - path: /**
    upstream: shop
"""


class _Session:
    """A session that follows one channel."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def event(self) -> Said:
        while (message := json.loads(await self._socket.recv()))["op"] != "event":
            pass
        return of_envelope(message["event"])

    async def close(self) -> None:
        await self._socket.close()


@asynccontextmanager
async def one_session(url: str, since: str | None, headers: Headers) -> AsyncIterator[Stream]:
    base, path = url.replace("http", "ws", 1).split("/api/")
    async with connect(f"{base}/live", additional_headers=headers) as socket:
        await socket.send(json.dumps({"op": "subscribe", "id": 1, "channel": f"/api/{path}"}))
        yield _Session(socket)


@pytest.mark.parametrize("transport", [*TRANSPORTS, "session"])
async def test_who_comes_later_is_told_the_age_of_the_state(gateway: Serve, backend: Backend, transport: str) -> None:
    running = gateway(AGING.format(url=backend.url, more="linger: 1h"))
    async with websockets_json(f"{running.url}/api/shirts", None, {}) as first:
        await heard(first, "snapshot")
        await come(lambda: running.metrics()["tidegate_source_staleness_seconds"] > 1, "a state with an age")
        opened = TRANSPORTS.get(transport, one_session)
        async with opened(f"{running.url}/api/shirts", None, {}) as late:
            assert (await heard(late, "snapshot")).data == [{"id": 1, "stock": 12}]
            status = await heard(late, "status")
            assert status.id is None
            assert status.data.keys() == {"state", "age"}
            assert status.data["state"] == "ok"
            assert status.data["age"] >= 1
        await first.close()
    assert len(backend.asked) == 1


async def test_a_state_that_is_too_old_is_confirmed_for_who_comes(gateway: Serve, backend: Backend) -> None:
    running = gateway(AGING.format(url=backend.url, more="max_age: 100ms"))
    async with websockets_json(f"{running.url}/api/shirts", None, {}) as first:
        await heard(first, "snapshot")
        backend.shirts[""] = [{"id": 1, "stock": 3}]
        await come(lambda: running.metrics()["tidegate_source_staleness_seconds"] > 0.1, "a state with an age")
        async with websockets_json(f"{running.url}/api/shirts", None, {}) as late:
            assert (await heard(late, "snapshot")).data == [{"id": 1, "stock": 12}]
            for stream in (first, late):
                assert (await heard(stream, "updated")).data["item"]["stock"] == 3
            await late.close()
        await first.close()
    assert len(backend.asked) == 2
