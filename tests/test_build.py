"""What one configuration is made into, without a socket."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from gateway.build import Built, Ground, SystemClock, build, make_all
from gateway.config import load
from gateway.core.access import NoAccessLog
from gateway.core.settings import Limits, PluginUse
from gateway.core.stats import Stats
from gateway.live.app import Live, Parts
from gateway.plugin import Broker, Codec, Context
from gateway.wire.writer import writer_for

CONFIG = """
upstreams:
  shop: {url: "http://127.0.0.1:1"}
  unused: {url: "http://127.0.0.1:2"}
auth:
  staff: {jwt: {jwks: "https://id.example.com/keys", issuer: "https://id.example.com", audience: shop}}
routes:
  - {path: /plain, upstream: shop}
  - {path: /live, upstream: shop, live: {poll: {interval: 1s}}, auth: [staff]}
  - path: /hook
    webhook: {verify: {hmac: {secret: a-secret-of-ours-0123456789, header: x-signature}}, refresh: ["/live"]}
"""


class Nothing:
    def attach(self, channel: str, deliver: object) -> None: ...


@pytest.fixture
def ground() -> Ground:
    stats, clock, access = Stats(), SystemClock(), NoAccessLog()
    codecs = cast("dict[str, Codec]", make_all("codecs", Context(clock=clock)))

    async def refuse(scope: object, send: object, error: object) -> None: ...

    parts = Parts(
        broker=cast("Broker", Nothing()),
        transports=(),
        writer_for=writer_for,
        clock=clock,
        stats=stats,
        access=access,
        refuse=refuse,
        limits=Limits(),
    )
    return Ground(clock=clock, stats=stats, access=access, codecs=codecs, live=Live(parts))


@pytest.fixture
def built(tmp_path: Path, ground: Ground) -> Built:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    return build(load(str(file), {}), ground)


def test_everything_that_the_file_names_is_made(built: Built) -> None:
    assert set(built.upstreams) == {"shop", "unused"}
    assert set(built.live) == {"/live"}
    assert set(built.gates) == {"/live"}
    assert set(built.signatures) == {"/hook"}
    assert built.live["/live"].upstream is built.upstreams["shop"]
    assert [upstream.name for upstream in built.all_upstreams] == ["shop", "unused", "id.example.com"]


def test_plugins_of_a_kind_are_made_with_defaults_as_asked_or_not_at_all() -> None:
    context = Context(clock=SystemClock())
    made = make_all("codecs", context)
    assert {"json", "msgpack"} <= set(made)
    assert "msgpack" not in make_all("codecs", context, {"msgpack": None})
    with pytest.raises(KeyError):
        make_all("codecs", context, {"json": PluginUse(name="no-such", options=None)})
