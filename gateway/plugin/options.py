"""Building blocks of a plugin's configuration: strict, immutable models, durations, sizes and percentages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.core.settings import Items

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The route that a source's options stand on.

    `params` are the names in its path; it is `fixed` where exactly one path fits it. `auth` says that clients have to
    be known; `told` are the names of the headers, in lower case, that tell the backend who they are, and with
    `own_host` it is sent the client's Host as well.
    """

    path: str
    params: tuple[str, ...] = ()
    fixed: bool = True
    items: Items | None = None
    auth: bool = False
    told: frozenset[str] = frozenset()
    own_host: bool = False


class Options(BaseModel):
    """Base of every configuration model: unknown keys are errors, values cannot be changed, nothing is coerced.

    `of_items` are the keys of a source that mean nothing without the route's `items`.
    """

    of_items: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, json_schema_extra=_written_defaults
    )

    def mistakes(self) -> Iterator[str]:
        """What only a look at the machine can tell, such as a file that does not hold what it should.

        Called by `tidegate check` when everything else is right; each `File` is a path to open by then.
        """
        yield from ()

    def misplaced(self, place: Place) -> Iterator[tuple[str, str]]:
        """Of a source's options: the keys (as `pages.first`) that don't fit each other or the route, and the remedies.

        Called by `tidegate check` when the values of the route themselves are right, whatever is wrong elsewhere.
        """
        yield from ()


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


def _no_nul(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expected a name")
    return text


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("is empty: give a value or remove it")
    return secret


def listed(value: object) -> object:
    """Text alone is a list of it."""
    return [value] if isinstance(value, str) else value


def several(values: list[str]) -> list[str]:
    """The values, if there are some and none twice; raises ValueError."""
    if not values:
        raise ValueError("give at least one")
    if len(set(values)) < len(values):
        raise ValueError("one of them stands here twice")
    return values


class OrText:
    """In the JSON Schema: this, or text that stands for it."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core)]}


Names = Annotated[
    list[Annotated[str, AfterValidator(_no_nul)]], AfterValidator(several), BeforeValidator(listed), OrText()
]
"""One name or several, each once."""


class IsFile:
    """Marks text that names a file, relative to the configuration file that names it."""


File = Annotated[str, AfterValidator(_no_nul), IsFile()]
"""The name of a file; once the configuration is read, a path to open."""


class IsUpstream:
    """Marks text that is the name of an upstream of the configuration."""


UpstreamName = Annotated[str, AfterValidator(_no_nul), IsUpstream()]
"""The name of an upstream; `tidegate check` sees that there is one."""

Secret = Annotated[
    SecretStr,
    AfterValidator(_not_empty),
    PlainSerializer(lambda secret: "***", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""Text that is never shown; `get_secret_value()` gives it."""


def _each_once(secrets: list[SecretStr]) -> list[SecretStr]:
    several([secret.get_secret_value() for secret in secrets])
    return secrets


Secrets = Annotated[list[Secret], AfterValidator(_each_once), BeforeValidator(listed), OrText()]
"""One secret or several, as while one takes the other's place."""
