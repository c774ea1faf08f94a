"""The transport contract, as far as it holds for every installed transport without a client."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.plugin import Request, Transport
from tests.plugin.installed import make, names

TRANSPORTS = names("transports")


def request(kind: str, accept: bytes = b"*/*") -> Request:
    return Request(kind=kind, method="GET", target=b"/x", headers=((b"accept", accept),), params={}, options={})


@pytest.mark.parametrize("name", TRANSPORTS)
def test_it_is_called_as_it_is_installed(name: str) -> None:
    assert cast("Transport", make("transports", name)).name == name


@pytest.mark.parametrize("asked", [request("websocket"), request("http", b"text/event-stream")])
def test_exactly_one_transport_takes_a_stream(asked: Request) -> None:
    assert sum(cast("Transport", make("transports", name)).accepts(asked) for name in TRANSPORTS) == 1


@pytest.mark.parametrize("accept", [b"*/*", b"application/json", b"text/html,application/xhtml+xml,*/*;q=0.8"])
def test_plain_rest_is_left_alone(accept: bytes) -> None:
    assert not any(cast("Transport", make("transports", name)).accepts(request("http", accept)) for name in TRANSPORTS)
