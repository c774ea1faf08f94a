"""The options of the poll source, as an operator writes them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue, WithJsonSchema
from pydantic_core import CoreSchema

from gateway.plugin import Duration, Options, Size
from gateway_plugins.sources.poll_tempo import Pace

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,2})%", re.ASCII)

# These belong to the connection or to the poll itself, never to a client.
_CONDITIONS = {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
_BODY = {"content-encoding", "content-length", "content-type", "expect", "te", "trailer", "transfer-encoding"}
_CONNECTION = {"connection", "host", "keep-alive", "proxy-authorization", "proxy-connection", "upgrade"}
_NEVER_FORWARDED = _CONDITIONS | _BODY | _CONNECTION | {"accept", "accept-encoding"}
_USUAL = ("authorization", "cookie")

# Of an interval that adapts: as quick as a person notices, as slow as still feels alive.
_QUICK, _SLOW = 1.0, 60.0


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("expected the name of a header, as in X-Api-Key")
    if name.lower() in _NEVER_FORWARDED:
        raise ValueError("this header belongs to the poll itself and can't be forwarded")
    return name.lower()


def _percent(value: object) -> float:
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 50:
        raise ValueError("expected a percentage from 0% to 50%")
    return int(match[1]) / 100


def _at_least_100ms(value: float) -> float:
    if value < 0.1:
        raise ValueError("must be at least 100ms")
    return value


def _body_size(value: int) -> int:
    if not 1024 <= value <= 1024**3:
        raise ValueError("must be from 1KB to 1GB")
    return value


Percent = Annotated[
    float,
    BeforeValidator(_percent),
    PlainSerializer(lambda share: f"{share:.0%}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,2}%$"}),
]

HeaderName = Annotated[str, AfterValidator(_header_name)]

Time = Annotated[Duration, AfterValidator(_at_least_100ms)]


class Interval(Options):
    """From the start of one poll to the start of the next; a duration alone is fixed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    base: Time = 5.0
    """to begin with"""
    min: Time | None = None
    """no shorter, however much changes; 1s, or base if that is shorter"""
    max: Time | None = None
    """no longer, however little changes and however long answers say that they hold; 60s, or base if that is longer"""
    adapt: bool = True
    """shorter while there are changes, longer while there are none or the backend is slow"""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if isinstance(value, str):
            return {"base": value, "min": value, "max": value, "adapt": False}
        if not isinstance(value, (dict, Interval)):
            raise ValueError("expected a duration such as 500ms, 2s, 5m or 1h, or {base, min, max, adapt}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Interval:
        if not self.shortest <= self.base <= self.longest:
            raise ValueError("expected min <= base <= max")
        return self

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> object:
        """As an operator would write it: a fixed interval is a duration alone."""
        written: dict[str, object] = handler(self)
        fixed = not self.adapt and self.base == self.shortest == self.longest
        return written["base"] if fixed and info.mode == "json" else written

    @property
    def shortest(self) -> float:
        return min(_QUICK, self.base) if self.min is None else self.min

    @property
    def longest(self) -> float:
        return max(_SLOW, self.base) if self.max is None else self.max

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"}, handler(core)]}


class Conditional(Options):
    """How far ETag and Last-Modified are trusted."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    etag: bool = True
    """send them back, so that the backend may answer 304 in place of the whole; off for backends that lie"""
    max_304: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """after so many 304 in a row the whole is asked for: it costs 5 % of what they save, and bounds a lie"""
    ttl: Time = 600.0
    """the whole is asked for when it last came so long ago"""


class Credentials(Options):
    """`forward`: Authorization and Cookie; `none`; or a mapping that lists the headers to forward."""

    forward: list[HeaderName]

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if value == "forward":
            return {"forward": list(_USUAL)}
        if value == "none":
            return {"forward": []}
        if not isinstance(value, (dict, Credentials)):
            raise ValueError("expected forward, none, or {forward: [header names]}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": ["forward", "none"]}, handler(core)]}


class PollOptions(Options):
    """Asks the backend for the resource at an interval, while somebody follows it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    interval: Interval = Interval.model_validate("5s")
    """from the start of one poll to the start of the next: a duration, or a range in which it adapts"""
    jitter: Percent = 0.1
    """how much the interval varies, so that channels don't poll in step"""
    timeout: Time = 30.0
    """for one whole poll, from asking to the last byte"""
    conditional: Conditional = Conditional()
    """how far the backend's ETag and Last-Modified are trusted"""
    credentials: Credentials = Credentials(forward=list(_USUAL))
    """the client's headers sent to the backend; clients share a channel only if they are the same in all of them"""
    max_body: Annotated[Size, AfterValidator(_body_size)] = 5 * 1024**2
    """an answer that is bigger counts as a failure"""
    tolerate: Annotated[int, Field(ge=0, le=1000)] = 2
    """failures in a row before clients that have data are told that it is stale"""
    max_backoff: Time = 60.0
    """the longest pause while the backend fails, also when it asks for a longer one"""

    @property
    def pace(self) -> Pace:
        return Pace(
            base=self.interval.base,
            shortest=self.interval.shortest,
            longest=self.interval.longest,
            adapt=self.interval.adapt,
            jitter=self.jitter,
            tolerate=self.tolerate,
            max_backoff=self.max_backoff,
        )
