"""The poll source: asks the backend for a live route's resource again and again while somebody follows it.

A channel is shared by all clients whose forwarded credentials are the same, to the byte, and by nobody else:
those credentials are all that a client can change in what is asked.
"""

from __future__ import annotations

import re
from functools import partial
from hashlib import sha256
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue, WithJsonSchema
from pydantic_core import CoreSchema

from gateway.plugin import (
    Context,
    Duration,
    Headers,
    Options,
    Plugin,
    Publisher,
    Request,
    Share,
    Size,
    SourcePlugin,
    Target,
    Watch,
)
from gateway_plugins.sources.poll_channel import Pace, PolledChannel, Tools

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,2})%", re.ASCII)

# These belong to the connection or to the poll itself, never to a client.
_CONDITIONS = {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
_BODY = {"content-encoding", "content-length", "content-type", "expect", "te", "trailer", "transfer-encoding"}
_CONNECTION = {"connection", "host", "keep-alive", "proxy-authorization", "proxy-connection", "upgrade"}
_NEVER_FORWARDED = _CONDITIONS | _BODY | _CONNECTION | {"accept", "accept-encoding"}
_USUAL = ("authorization", "cookie")


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


class Credentials(Options):
    """`forward`: Authorization and Cookie; `none`; or a mapping that lists the headers to forward."""

    forward: list[Annotated[str, AfterValidator(_header_name)]]

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

    interval: Annotated[Duration, AfterValidator(_at_least_100ms)] = 5.0
    """from the start of one poll to the start of the next"""
    jitter: Percent = 0.1
    """how much the interval varies, so that channels don't poll in step"""
    credentials: Credentials = Credentials(forward=list(_USUAL))
    """the client's headers sent to the backend; clients share a channel only if they are the same in all of them"""
    max_body: Annotated[Size, AfterValidator(_body_size)] = 5 * 1024**2
    """an answer that is bigger counts as a failure"""
    tolerate: Annotated[int, Field(ge=0, le=1000)] = 2
    """failures in a row before clients that have data are told that it is stale"""
    max_backoff: Annotated[Duration, AfterValidator(_at_least_100ms)] = 60.0
    """the longest pause while the backend fails, also when it asks for a longer one"""


class PollSource:
    """Polls for the channels of one route."""

    def __init__(self, options: PollOptions, context: Context) -> None:
        self._forwarded = frozenset(name.encode() for name in options.credentials.forward)
        pace = Pace(
            interval=options.interval,
            jitter=options.jitter,
            tolerate=options.tolerate,
            max_backoff=options.max_backoff,
        )
        decode = context.codecs["json"].decode
        tools = Tools(clock=context.clock, decode=decode, max_body=options.max_body)
        self._channel = partial(PolledChannel, pace, tools)

    def share(self, request: Request) -> Share:
        credentials = self._credentials(request)
        return Share(key=_digest(credentials), headers=[*credentials, (b"accept", b"application/json")])

    def watch(self, target: Target, publish: Publisher) -> Watch:
        return self._channel(target, publish)

    def _credentials(self, request: Request) -> Headers:
        """The headers to forward, by name; those of one name in the order that they came in."""
        lowered = [(name.lower(), value) for name, value in request.headers]
        headers = sorted((header for header in lowered if header[0] in self._forwarded), key=lambda header: header[0])
        return _one_cookie(headers)


def _one_cookie(headers: Headers) -> Headers:
    """HTTP/2 clients may send their cookies in pieces; HTTP/1.1 takes them in one (RFC 9113 section 8.2.3)."""
    pieces = [value for name, value in headers if name == b"cookie"]
    if len(pieces) < 2:
        return headers
    return [*(header for header in headers if header[0] != b"cookie"), (b"cookie", b"; ".join(pieces))]


def _digest(headers: Headers) -> bytes:
    """SHA-256 over every name and value with its length before it: no two lists of headers encode alike."""
    digest = sha256()
    for header in headers:
        for part in header:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.digest()


plugin: SourcePlugin[PollOptions] = Plugin(PollOptions, PollSource)
