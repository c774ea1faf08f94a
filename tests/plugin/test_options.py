"""Durations, sizes, and the strictness of every plugin's options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.plugin.options import (
    Duration,
    Options,
    Size,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


class Some(Options):
    time: Duration = 90.0
    size: Size = 2048
    count: int = 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2.0), ("1.5s", 1.5), ("5m", 300.0), ("1h", 3600.0), ("1d", 86400.0), ("0s", 0.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "5", "s", "-1s", "1 s", "1S", "1w", "1.s", ".5s", "1e3s", "٣s", "1s\n", 5, 5.0, None, True]
)
def test_not_durations(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("512B", 512), ("64KB", 65536), ("5MB", 5 * 2**20), ("1GB", 2**30)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "5", "5K", "5kb", "1.5MB", "-1B", "1 KB", 5, None, True])
def test_not_sizes(value: object) -> None:
    with pytest.raises(ValueError, match="expected a size such as"):
        parse_size(value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (0.25, "250ms"), (0.0005, "0.5ms"), (90.0, "90s"), (7200.0, "2h")]
)
def test_a_duration_prints_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_what_prints_reads_back(number: int) -> None:
    assert parse_size(format_size(number)) == number
    assert parse_duration(format_duration(number / 1000)) == pytest.approx(number / 1000)


def test_options_are_strict_and_unchangeable() -> None:
    assert Some.model_validate({"time": "1s"}) == Some(time="1s")  # type: ignore[arg-type]
    for wrong in ({"count": "1"}, {"count": 1.0}, {"tiem": "1s"}, {"time": 1}):
        with pytest.raises(ValidationError):
            Some.model_validate(wrong)
    with pytest.raises(ValidationError, match="frozen"):
        Some().count = 2  # type: ignore[misc]


def test_errors_hold_no_values() -> None:
    with pytest.raises(ValidationError) as wrong:
        Some.model_validate({"count": "hunter2", "time": "hunter2"})
    assert "hunter2" not in str(wrong.value)


def test_the_schema_has_defaults_as_they_are_written() -> None:
    properties = Some.model_json_schema()["properties"]
    assert {name: field["default"] for name, field in properties.items()} == {"time": "90s", "size": "2KB", "count": 1}


def test_options_dump_as_they_are_written() -> None:
    assert Some().model_dump(mode="json") == {"time": "90s", "size": "2KB", "count": 1}
    assert Some().model_dump() == {"time": 90.0, "size": 2048, "count": 1}
