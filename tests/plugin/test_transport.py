"""The transport contract, as far as it holds for every installed transport without a client."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.plugin import Request, Transport
from tests.plugin.installed import make, names

TRANSPORTS = names("transports")


def request(kind: str, accept: bytes = b"*/*", prefer: bytes = b"") -> Request:
    headers = ((b"accept", accept), (b"prefer", prefer))
    return Request(kind=kind, method="GET", target=b"/x", headers=headers, params={}, options={})


@pytest.mark.parametrize("name", TRANSPORTS)
def test_it_is_called_as_it_is_installed(name: str) -> None:
    assert cast("Transport", make("transports", name)).name == name


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        (request("websocket"), "websocket"),
        (request("http", b"text/event-stream"), "sse"),
        (request("http", b"application/x-ndjson"), "ndjson"),
        (request("http", b"application/x-ndjson;q=0.5, text/event-stream;q=0.4"), "ndjson"),
        (request("http", prefer=b"wait=5"), "long_poll"),
        (request("http", b"text/event-stream;q=0.001", b"wait=5"), "sse"),
    ],
)
def test_one_transport_wants_it_most(asked: Request, most: str) -> None:
    wishes = {name: cast("Transport", make("transports", name)).accepts(asked) for name in TRANSPORTS}
    assert all(0 <= wish <= 1 for wish in wishes.values())
    assert [name for name, wish in wishes.items() if wish == max(wishes.values())] == [most]


@pytest.mark.parametrize("accept", [b"*/*", b"application/json", b"text/html,application/xhtml+xml,*/*;q=0.8"])
def test_plain_rest_is_left_alone(accept: bytes) -> None:
    assert not any(cast("Transport", make("transports", name)).accepts(request("http", accept)) for name in TRANSPORTS)
