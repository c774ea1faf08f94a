"""The keys and defaults; golden files have the mistakes."""

from __future__ import annotations

import dataclasses

import pytest
from pydantic import BaseModel, ValidationError

from gateway.config import model
from gateway.config.model import ConfigKeys, Listener
from gateway.config.section import Section
from gateway.core import settings


def sections() -> list[type[Section]]:
    found = [value for value in vars(model).values() if isinstance(value, type) and issubclass(value, Section)]
    return [section for section in found if section is not Section]


@pytest.mark.parametrize("section", sections())
def test_every_key_is_described(section: type[BaseModel]) -> None:
    for name, field in section.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("section", sections())
def test_unknown_keys_are_refused(section: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as wrong:
        section.model_validate({"no_such_key": 1})
    assert "extra_forbidden" in {detail["type"] for detail in wrong.value.errors()}


@pytest.mark.parametrize("name", ["Limits", "Timeouts", "Pool", "LogLimits"])
def test_defaults_are_those_of_the_settings(name: str) -> None:
    ours, theirs = getattr(model, name)(), getattr(settings, name)()
    assert dict(ours) == dataclasses.asdict(theirs)


def test_a_listener_is_an_address_or_a_mapping() -> None:
    assert Listener.model_validate("a:1") == Listener.model_validate({"address": "a:1"})


def test_the_shortest_configuration() -> None:
    made = ConfigKeys.model_validate({"routes": [{"path": "/**", "upstream": "a"}]})
    assert [listener.address for listener in made.listen] == ["127.0.0.1:8080"]
    assert made.access_log == "stdout"
