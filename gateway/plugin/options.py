"""Building blocks of a plugin's configuration: strict, immutable models, durations, sizes and percentages."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.config import JsonDict

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,2}|100)%", re.ASCII)
_SIZE = re.compile(r"(\d+)(B|KB|MB|GB)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def _written_defaults(schema: JsonDict, model: type[BaseModel]) -> None:
    """In the JSON Schema, defaults as an operator writes them."""
    written = model.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
    properties = schema.get("properties", {})
    for name, field in properties.items() if isinstance(properties, dict) else ():
        if isinstance(field, dict) and "default" in field:
            field["default"] = written[name]


class Options(BaseModel):
    """Base of every configuration model: unknown keys are errors, values cannot be changed, nothing is coerced."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, json_schema_extra=_written_defaults
    )


def parse_duration(value: object) -> float:
    """`500ms`, `2s`, `5m`, `1h`, `1d` in seconds; raises ValueError for anything else, a bare number included."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as 500ms, 2s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(value: object) -> int:
    """`512B`, `64KB`, `5MB`, `1GB` in bytes (powers of 1024); raises ValueError for anything else."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a size such as 512B, 64KB or 5MB")
    return int(match[1]) * _BYTES[match[2]]


def parse_percent(value: object) -> float:
    """`0%` to `100%` as a fraction; raises ValueError for anything else."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a percentage from 0% to 100%")
    return int(match[1]) / 100


def format_duration(seconds: float) -> str:
    """As `parse_duration` reads it, in the largest unit that keeps it whole."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000, 6):.15g}ms" if seconds else "0s"


def format_size(size: int) -> str:
    """As `parse_size` reads it, in the largest unit that keeps it whole."""
    unit = next((unit for unit in ("GB", "MB", "KB") if size and size % _BYTES[unit] == 0), "B")
    return f"{size // _BYTES[unit]}{unit}"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(B|KB|MB|GB)$"}),
]
Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(lambda share: f"{share:.0%}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(\d{1,2}|100)%$"}),
]
