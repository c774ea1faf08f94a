"""The snapshot: values that nobody can change."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.core import settings
from gateway.core.route import parse_template

PLUGIN = settings.PluginUse(name="some", options=None)
VALUES = [
    value for value in vars(settings).values() if isinstance(value, type) and value.__module__ == settings.__name__
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value.__name__))
def test_every_setting_is_frozen_and_slotted(value: type) -> None:
    assert dataclasses.is_dataclass(value)
    assert "__slots__" in vars(value)
    made = object.__new__(value)
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, None)


def test_settings_compare_by_value() -> None:
    assert settings.Limits() == settings.Limits(connections=50_000)
    assert settings.Limits() != settings.Limits(connections=1)


def test_what_the_backend_is_told_of_a_routes_clients() -> None:
    keys = settings.AuthSettings(plugin=PLUGIN, headers=(("X-User", "${claims.sub}"), ("x-role", "a")))
    plain = settings.AuthSettings(plugin=PLUGIN)
    gateway = settings.Gateway(
        listen=(), admin=None, broker=PLUGIN, upstreams={}, routes=(), auth={"keys": keys, "plain": plain}
    )

    def told(*auth: str) -> frozenset[bytes]:
        return gateway.told(settings.Route(name="a", path=parse_template("/"), auth=auth))

    assert told() == told("plain") == frozenset()
    assert told("plain", "keys") == {b"x-user", b"x-role"}
