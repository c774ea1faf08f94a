"""The snapshot: values that nobody can change."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.core import settings

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
