"""Plugins by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, version

import pytest

from gateway.plugin import registry
from gateway.plugin.options import Options
from gateway.plugin.registry import KINDS, Plugin, find


class NoOptions(Options):
    """Nothing to choose."""


good = Plugin(NoOptions, lambda options, context: 1)
bad = "not a plugin"


def install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    entries = [EntryPoint(name, value, "tidegate.sources") for name, value in points]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "tidegate.sources" else [])


@pytest.mark.parametrize("kind", KINDS)
def test_the_built_in_plugins_are_found_and_load(kind: str) -> None:
    plugins = find(kind)
    assert plugins
    for name, found in plugins.items():
        assert (found.kind, found.name, found.distribution) == (kind, name, "tidegate")
        assert found.version == version("tidegate")
        assert issubclass(found.load().options, Options)


def test_a_strangers_plugin_is_found_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("mine", f"{__name__}:good"))
    monkeypatch.setattr(EntryPoint, "load", lambda entry: good)
    found = find("sources")["mine"]
    assert found.load() is good
    assert (found.distribution, found.version) == ("?", "?")
    assert find("brokers") == {}


def test_what_is_no_plugin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("mine", "x:bad"))
    monkeypatch.setattr(EntryPoint, "load", lambda entry: bad)
    with pytest.raises(TypeError, match=r"x:bad is not a gateway\.plugin\.Plugin"):
        find("sources")["mine"].load()


def test_two_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("a", "x:y"), ("a", "z:y"))
    with pytest.raises(ValueError, match="two sources are called 'a': x:y and z:y"):
        find("sources")


def test_one_that_is_installed_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("a", "x:y"), ("a", "x:y"))
    assert list(find("sources")) == ["a"]
