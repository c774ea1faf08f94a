"""What is the same, and what is not, for any two configurations."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.plan import Difference, difference, fixed, plan
from gateway.core.route import parse_template
from gateway.core.settings import (
    AuthSettings,
    Gateway,
    Limits,
    Listen,
    LiveSettings,
    MessageSettings,
    PluginUse,
    Route,
    UpstreamSettings,
    WebhookSettings,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])


def upstream(name: str, port: int = 80) -> UpstreamSettings:
    return UpstreamSettings(name=name, scheme="http", host="shop", port=port)


def route(name: str, upstream: str = "shop", **more: object) -> Route:
    return Route(name=name, path=parse_template(f"/{name}"), upstream=upstream, **more)  # type: ignore[arg-type]


GATEWAY = Gateway(
    listen=(Listen(address="a:1"),),
    admin=None,
    broker=PluginUse(name="memory", options=None),
    upstreams={name: upstream(name) for name in ("shop", "id", "other")},
    auth={"staff": AuthSettings(plugin=PluginUse(name="forward", options=None, upstreams=("id",)))},
    routes=(
        route("plain"),
        route("guarded", "other", auth=("staff",)),
        route("live", live=LiveSettings(source=PluginUse(name="poll", options=None, upstreams=("other",)))),
        route("hook", "", webhook=WebhookSettings(verify=PluginUse(name="hmac", options=None, upstreams=("id",)))),
    ),
    channels=(MessageSettings(pattern="chat.*"),),
)


@given(st.dictionaries(NAMES, st.integers(0, 2)), st.dictionaries(NAMES, st.integers(0, 2)))
def test_every_name_becomes_one_thing(old: dict[str, int], new: dict[str, int]) -> None:
    found = difference(old, new)
    groups = [getattr(found, one.name) for one in fields(found)]
    assert sorted(name for group in groups for name in group) == sorted({*old, *new})
    assert {*found.added, *found.changed, *found.unchanged} == {*new}
    assert {*found.removed, *found.changed, *found.unchanged} == {*old}
    assert all(old[name] == new[name] for name in found.unchanged)
    assert all(old[name] != new[name] for name in found.changed)
    assert found.gone == {name for name in old if old[name] != new.get(name)}
    assert bool(found) == (old != new)
    back = difference(new, old)
    assert (sorted(back.added), sorted(back.removed)) == (sorted(found.removed), sorted(found.added))


@st.composite
def gateways(draw: st.DrawFn) -> Gateway:
    """Routes on any of a few upstreams, with any of a few authenticators that ask one."""
    names = ("a", "b")
    ports = {name: draw(st.integers(1, 2)) for name in names}
    auth = {
        name: AuthSettings(plugin=PluginUse(name="forward", options=None, upstreams=(draw(st.sampled_from(names)),)))
        for name in ("x", "y")
    }
    routes = draw(st.dictionaries(NAMES, st.tuples(st.sampled_from(names), st.sampled_from([(), ("x",), ("y", "x")]))))
    return replace(
        GATEWAY,
        upstreams={name: upstream(name, port) for name, port in ports.items()},
        auth=auth,
        routes=tuple(route(name, behind, auth=guards) for name, (behind, guards) in routes.items()),
    )


@given(gateways(), gateways())
def test_a_route_is_unchanged_when_all_that_it_stands_on_is(old: Gateway, new: Gateway) -> None:
    found = plan(old, new)
    before, after = ({one.name: one for one in each.routes} for each in (old, new))
    for name, one in after.items():
        same = name in before and before[name] == one
        stands_on = {one.upstream, *(of for guard in one.auth for of in new.auth[guard].plugin.upstreams)}
        same = same and all(old.upstreams[of] == new.upstreams[of] for of in stands_on)
        same = same and all(old.auth[guard] == new.auth[guard] for guard in one.auth)
        assert (name in found.routes.unchanged) == same
    assert set(found.routes.removed) == before.keys() - after.keys()
    assert not plan(new, new)


@pytest.mark.parametrize(
    ("name", "routes"),
    [("shop", ("plain", "live")), ("other", ("guarded", "live")), ("id", ("guarded", "hook"))],
)
def test_a_changed_upstream_changes_what_stands_on_it(name: str, routes: tuple[str, ...]) -> None:
    new = replace(GATEWAY, upstreams={**GATEWAY.upstreams, name: upstream(name, 81)})
    found = plan(GATEWAY, new)
    assert (found.upstreams.changed, found.routes.changed) == ((name,), routes)
    assert found.auth.changed == (("staff",) if name == "id" else ())
    assert found


def test_what_changes_alone() -> None:
    found = plan(GATEWAY, replace(GATEWAY, channels=(MessageSettings(pattern="chat.*", slow="skip"),)))
    assert (found.channels.changed, found.routes.unchanged) == (("chat.*",), ("plain", "guarded", "live", "hook"))
    found = plan(GATEWAY, replace(GATEWAY, routes=GATEWAY.routes[::-1], hash="another"))
    assert not found
    headers = replace(GATEWAY.auth["staff"], headers=(("X-User", "${claims.sub}"),))
    assert plan(GATEWAY, replace(GATEWAY, auth={"staff": headers})).routes.changed == ("guarded",)
    assert not Difference(unchanged=("a",))


def test_what_takes_a_restart() -> None:
    assert fixed(GATEWAY, GATEWAY) == []
    new = replace(GATEWAY, listen=(), access_log="off", limits=Limits(connections=7, message=9), routes=())
    paths = [path for path, _ in fixed(GATEWAY, new)]
    assert paths == [("listen",), ("access_log",), ("limits", "connections"), ("limits", "message")]
    for changed in (
        replace(GATEWAY, admin=Listen(address="a:2")),
        replace(GATEWAY, broker=PluginUse(name="redis", options=None)),
        replace(GATEWAY, transports={"sse": None}),
        replace(GATEWAY, trusted_proxies=("10.0.0.0/8",)),
    ):
        ((_, message),) = fixed(GATEWAY, changed)
        assert message.startswith("cannot be changed while the gateway runs")


def test_every_part_of_a_configuration_is_planned_for_or_takes_a_restart() -> None:
    """A part that somebody adds must not be left as it was without a word."""
    applied = {"upstreams", "routes", "auth", "channels", "limits", "tests", "hash"}
    took = {"listen", "admin", "broker", "transports", "trusted_proxies", "access_log"}
    assert {one.name for one in fields(Gateway)} == applied | took
