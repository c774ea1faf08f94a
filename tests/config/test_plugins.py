"""Plugins in the model: a stranger's counts as a built-in one, and a broken one breaks only what uses it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gateway.config import load, plugins
from gateway.config.model import BrokerKeys, LiveKeys
from gateway.config.plugins import chosen, used
from gateway.errors import ConfigError
from gateway.plugin.options import Options
from gateway.plugin.registry import Found, Plugin

ROUTES = "upstreams: {a: {url: 'http://a'}}\nroutes:\n  - {path: /a, upstream: a, live: {%s}}"


class TideOptions(Options):
    """Follows the tide."""

    height: int = 3


tide = Plugin(TideOptions, lambda options, context: options)


def found(name: str, value: str) -> Found:
    return Found(kind="sources", name=name, distribution="d", version="1", entry=EntryPoint(name, value, "g"))


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"tide": found("tide", f"{__name__}:tide"), "gone": found("gone", "no_such_module:x")}
    brokers = {"memory": found("memory", f"{__name__}:tide")}
    installed = {"sources": sources, "transports": sources}
    monkeypatch.setattr(plugins, "find", lambda kind: installed.get(kind, brokers))
    monkeypatch.setattr(
        EntryPoint, "load", lambda entry: tide if entry.value.endswith(":tide") else __import__("no_such")
    )


def mistakes(live: str, folder: str) -> list[str]:
    with open(f"{folder}/c.yaml", "w") as file:
        file.write(ROUTES % live)
    with pytest.raises(ConfigError) as wrong:
        load(f"{folder}/c.yaml", {})
    return [f"{problem.path}: {problem.message}" for problem in wrong.value.problems]


def test_the_model_holds_every_plugin_that_loads() -> None:
    model = plugins.model()
    assert dict(model.sources.options) == {"tide": TideOptions}
    assert model.sources.broken == {"gone": "ModuleNotFoundError: No module named 'no_such'"}
    made = model.config.model_validate(
        {"routes": [{"path": "/", "upstream": "a", "live": {"tide": {"height": 5}}}], "broker": {"memory": None}}
    )
    live, broker = made.routes[0].live, made.broker
    assert live is not None
    assert broker is not None
    assert used(live, LiveKeys).options == TideOptions(height=5)
    assert (used(broker, BrokerKeys).name, used(broker, BrokerKeys).options) == ("memory", TideOptions())


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ("tide: {heigth: 3}", ["routes[0].live.tide.heigth: unknown key 'heigth', did you mean 'height'?"]),
        ("tide: {height: x}", ["routes[0].live.tide.height: expected a whole number, got text"]),
        (
            "gone: {}",
            ["routes[0].live.gone: the plugin 'gone' cannot be loaded: ModuleNotFoundError: No module named 'no_such'"],
        ),
        ("linger: 3s", ["routes[0].live: no source: name one of tide"]),
        ("tdie: {}", ["routes[0].live.tdie: unknown key 'tdie', did you mean 'tide'?"]),
    ],
)
def test_mistakes_in_a_strangers_options(live: str, expected: list[str], tmp_path: object) -> None:
    assert mistakes(live, str(tmp_path)) == expected


def test_only_one_source(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    both = {name: found(name, f"{__name__}:tide") for name in ("ebb", "tide")}
    monkeypatch.setattr(plugins, "find", lambda kind: both)
    told = mistakes("tide: {}, ebb: {}", str(tmp_path))
    assert "routes[0].live.ebb: a second source: tide is already here, and there can be only one" in told


@pytest.mark.parametrize(
    ("transports", "expected"),
    [
        ({}, {}),
        ({"tide": None}, {"tide": TideOptions()}),
        ({"tide": {"height": 9}}, {"tide": TideOptions(height=9)}),
        ({"tide": "off", "gone": "off"}, {"tide": None, "gone": None}),
    ],
)
def test_transports_have_options_or_are_off(transports: dict[str, object], expected: dict[str, object]) -> None:
    route = {"path": "/", "upstream": "a"}
    made = plugins.model().config.model_validate({"routes": [route], "transports": transports})
    uses = chosen(made.transports)
    assert {name: use and use.options for name, use in uses.items()} == expected
    assert chosen(None) == {}


def test_a_transport_that_cannot_be_loaded_can_only_be_off(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("transports: {gone: {}}\n" + ROUTES % "tide: {}")
    with pytest.raises(ConfigError, match="'gone' cannot be loaded: ModuleNotFoundError"):
        load(str(file), {})
