"""The options of the poll source, as an operator writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

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

from gateway.plugin import Duration, Options, Place, Size
from gateway_plugins.sources.poll_batch_options import Batch
from gateway_plugins.sources.poll_credentials import USUAL, Credentials
from gateway_plugins.sources.poll_fit import unfit
from gateway_plugins.sources.poll_formats import FormatName
from gateway_plugins.sources.poll_pages_options import Pages
from gateway_plugins.sources.poll_rate import Rate
from gateway_plugins.sources.poll_request import Asking
from gateway_plugins.sources.poll_tempo import Pace
from gateway_plugins.sources.poll_words import Parameter, Time, expression

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_QUERY = re.compile(r"\?[!-\"$-~]{0,2000}", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,2})%", re.ASCII)

# Of an interval that adapts: as quick as a person notices, as slow as still feels alive.
_QUICK, _SLOW = 1.0, 60.0

# A transaction gets its time when it begins, and is seen when it ends; few take longer than so many seconds.
_LATE = 30.0


def _query(value: str) -> str:
    if not _QUERY.fullmatch(value) or re.search("[?&]live\\.", value):
        raise ValueError("expected a query as clients write it, as in ?status=open, or ? for none")
    return value


def _each_once(value: object) -> object:
    if isinstance(value, list) and (not value or len(set(map(str, value))) < len(value)):
        raise ValueError('expected true, or each query once, as in ["?status=open", "?"]')
    return value


def _percent(value: object) -> float:
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 50:
        raise ValueError("expected a percentage from 0% to 50%")
    return int(match[1]) / 100


def _origin(value: str) -> str:
    kind, _, argument = value.partition(":")
    if kind in ("max", "last") and argument:
        expression(argument)
    elif not (value == "last_success" or (kind == "header" and _TOKEN.fullmatch(argument))):
        raise ValueError("expected max:updated_at, last:meta.cursor, header:ETag or last_success")
    return value


def _of_all(value: str) -> str:
    if value.lower() == "now":
        raise ValueError("the whole is read with it: give what asks for everything, as in 0, or remove it")
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

Query = Annotated[str, AfterValidator(_query)]
Always = Annotated[bool | list[Query], BeforeValidator(_each_once)]

Claim = Annotated[str, Field(pattern=r"^claims(\.[A-Za-z0-9_:/-]{1,100}){1,8}$")]


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


class Since(Options):
    """After a whole read, polls ask only for what has changed since."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    param: Parameter
    """the parameter, as updated_after"""
    origin: Annotated[str, AfterValidator(_origin), Field(alias="from")]
    """what it says: max: and a JMESPath of an item, last: and one of the answer, header: and a name, or last_success"""
    format: Literal["rfc3339", "unix", "unix_ms", "raw"] | None = None
    """how it is written, here and there; with max and last_success rfc3339, else raw: as it came"""
    overlap: Duration | None = None
    """asked for so much earlier, for what came late; 30s for times"""
    initial: Annotated[str, Field(pattern=r"^.{1,1000}$"), AfterValidator(_of_all)] | None = None
    """the parameter's value when the whole is read; without it there is none"""
    full_every: Time = 300.0
    """the whole is read again after so long, to see what changes did not tell"""

    @model_validator(mode="after")
    def _times(self) -> Since:
        if self.written == "raw" and self.origin == "last_success":
            raise ValueError("last_success is a time: format is rfc3339, unix or unix_ms")
        if self.written == "raw" and self.overlap:
            raise ValueError("overlap needs times: a format other than raw")
        return self

    @property
    def way(self) -> tuple[str, str]:
        kind, _, argument = self.origin.partition(":")
        return kind, argument

    @property
    def written(self) -> str:
        return self.format or ("rfc3339" if self.way[0] in ("max", "last_success") else "raw")

    @property
    def margin(self) -> float:
        return (0.0 if self.written == "raw" else _LATE) if self.overlap is None else self.overlap


class PollOptions(Options):
    """Asks the backend for the resource at an interval, while somebody follows it."""

    model_config = ConfigDict(use_attribute_docstrings=True)
    of_items = frozenset({"pages", "since"})

    interval: Interval = Interval.model_validate("5s")
    """from the start of one poll to the start of the next: a duration, or a range in which it adapts"""
    jitter: Percent = 0.1
    """how much the interval varies, so that channels don't poll in step"""
    timeout: Time = 30.0
    """for one whole poll, from asking to the last byte"""
    conditional: Conditional = Conditional()
    """how far the backend's ETag and Last-Modified are trusted"""
    credentials: Credentials = Credentials(forward=list(USUAL))
    """the client's headers sent to the backend; clients share a channel only if they are the same in all of them"""
    share_by: list[Claim] = Field(default=[])
    """claims that decide the answer, as claims.tenant: who has the same ones shares, whatever the credentials"""
    share_private: bool = False
    """share by them even answers that are marked private, no-store, or as varying with the credentials"""
    request: Asking = Asking()
    """how it is asked for"""
    decode: FormatName = "json"
    """what the answers are written in"""
    pages: Pages | None = None
    """the answer is a list that comes in pages, which are joined before anything is compared; needs `items`"""
    since: Since | None = None
    """after a whole read, ask only for what has changed since; needs `items`"""
    batch: Batch | None = None
    """many resources of a route with a parameter are read with one request, from a list that takes their ids"""
    max_body: Annotated[Size, AfterValidator(_body_size)] = 5 * 1024**2
    """an answer that is bigger counts as a failure; pages beyond this, all together, as not read"""
    always: Always = False
    """from start-up on, whether anybody follows or not, or with these queries; only where all are answered the same"""
    tolerate: Annotated[int, Field(ge=0, le=1000)] = 2
    """failures in a row before clients that have data are told that it is stale"""
    max_backoff: Time = 60.0
    """the longest pause while the backend fails, also when it asks for a longer one; for budgets see rate.max_wait"""
    terminal: list[Literal[404, 410]] = Field(default=[])
    """answers that end the channel for good although it has data, as [404, 410]; without it data is stale then"""
    rate: Rate = Rate()
    """the headers of the backend's rate limit, and how much of it polls leave to others"""

    def misplaced(self, place: Place) -> Iterator[tuple[str, str]]:
        yield from unfit(self, place)

    @property
    def queries(self) -> tuple[str, ...]:
        """With which queries it is polled always."""
        if isinstance(self.always, bool):
            return ("",) if self.always else ()
        return tuple(query.removeprefix("?") for query in self.always)

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
            max_wait=self.rate.max_wait,
        )
