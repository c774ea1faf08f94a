"""Whose credentials a poll is made with, as an operator writes it."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.plugin import Options, Secret
from gateway_plugins.sources.poll_oauth2 import OAuth2

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_LINE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

# These belong to the connection or to the poll itself, never to a client.
_CONDITIONS = {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
_BODY = {"content-encoding", "content-length", "content-type", "expect", "te", "trailer", "transfer-encoding"}
_CONNECTION = {"connection", "host", "keep-alive", "proxy-authorization", "proxy-connection", "upgrade"}
_NEVER_FORWARDED = _CONDITIONS | _BODY | _CONNECTION | {"accept", "accept-encoding"}

# What clients have been let in with ever since there is HTTP.
USUAL = ("authorization", "cookie")


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("expected the name of a header, as in X-Api-Key")
    if name.lower() in _NEVER_FORWARDED:
        raise ValueError("this header belongs to the poll itself and can't be forwarded")
    return name.lower()


def _forwarded(name: str) -> str:
    kind, colon, cookie = name.partition(":")
    if not colon or kind.lower() != "cookie":
        return _header_name(name)
    if not _TOKEN.fullmatch(cookie):
        raise ValueError("expected the name of a cookie, as in cookie:session")
    return f"cookie:{cookie}"


HeaderName = Annotated[str, AfterValidator(_header_name)]
Forwarded = Annotated[str, AfterValidator(_forwarded)]


class Basic(Options):
    """A user name and a password (RFC 7617)."""

    user: str
    password: Secret


class Service(Options):
    """The gateway's own credentials, the same for everybody: use it only for what every client may see."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    bearer: Secret | None = None
    """sent as Authorization: Bearer"""
    basic: Basic | None = None
    """sent as Authorization: Basic"""
    oauth2: OAuth2 | None = None
    """tokens that the gateway gets itself, by client credentials, sent as Authorization: Bearer"""
    headers: dict[HeaderName, Secret] = Field(default={})
    """sent as they are, as X-Api-Key"""

    @model_validator(mode="after")
    def _something(self) -> Service:
        ways = [name for name in ("bearer", "basic", "oauth2") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{ways[0]} and {ways[1]} are both Authorization: leave one")
        if not ways and not self.headers:
            raise ValueError("expected bearer, basic, oauth2 or headers")
        if ways and "authorization" in self.headers:
            raise ValueError(f"{ways[0]} and headers are both Authorization: leave one")
        for _, value in self.lines():
            if not _LINE.fullmatch(value):
                raise ValueError("a credential holds characters that a header cannot")
        return self

    def lines(self) -> list[tuple[bytes, bytes]]:
        """The headers to send."""
        lines = [(name.encode(), value.get_secret_value().encode()) for name, value in sorted(self.headers.items())]
        if self.bearer is not None:
            lines.append((b"authorization", b"Bearer " + self.bearer.get_secret_value().encode()))
        if self.basic is not None:
            pair = f"{self.basic.user}:{self.basic.password.get_secret_value()}".encode()
            lines.append((b"authorization", b"Basic " + b64encode(pair)))
        return lines


class Credentials(Options):
    """`forward`: Authorization and Cookie; `none`; a list of headers to forward, and of cookies; the gateway's own."""

    forward: list[Forwarded] = Field(default=[])
    service: Service | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Credentials:
        if self.service is not None and self.forward:
            raise ValueError("forward and service are two kinds of credentials: leave one")
        if self.cookies and "cookie" in self.forward:
            raise ValueError("cookie is all of them: remove it, or those that are named")
        return self

    @property
    def names(self) -> frozenset[str]:
        """The headers that are forwarded, some of them perhaps in part."""
        return frozenset(name.partition(":")[0] for name in self.forward)

    @property
    def cookies(self) -> frozenset[str]:
        """The cookies that are forwarded, where these are not all."""
        return frozenset(name.removeprefix("cookie:") for name in self.forward if ":" in name)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if value == "forward":
            return {"forward": list(USUAL)}
        if value == "none":
            return {"forward": []}
        if not isinstance(value, (dict, Credentials)):
            raise ValueError("expected forward, none, {forward: [header names]}, or {service: {...}}")
        if value == {}:
            raise ValueError("expected forward or service")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": ["forward", "none"]}, handler(core)]}
