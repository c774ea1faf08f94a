"""How fresh a state is: polled before anybody follows, its age told, and what clients hear while a backend fails."""

from __future__ import annotations

import pytest

from tests.integration.backend import Backend
from tests.integration.clients import TRANSPORTS, heard
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
