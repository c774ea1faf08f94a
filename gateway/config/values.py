"""The kinds of text that a configuration holds, each with its rule and the sentence for breaking it.

Sentences never repeat the value: it may be a secret, and its place is printed anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticKnownError

from gateway.core.channel_names import message_name, message_pattern
from gateway.core.delivery import channel_name, delivery_text, id_text, path_text
from gateway.core.expression import compile_expression
from gateway.core.paths import parse_path
from gateway.core.route import parse_template
from gateway.core.template import parse as parse_text
from gateway.core.writes import SELF
from gateway.plugin.options import OrText, listed, parse_duration, parse_size, several

T = TypeVar("T", int, float)

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})", re.ASCII)
_METHOD = re.compile(r"[A-Z][A-Z0-9!#$%&'*+.^_`|~-]{0,31}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
# Framing, the connection, what the client is asked by and what it shows: not the gateway's to replace.
_NOT_AN_IDENTITYS = frozenset(
    b"""
    accept accept-encoding authorization connection content-encoding content-length content-type cookie date expect
    forwarded host keep-alive origin proxy proxy-authorization proxy-connection range te trailer transfer-encoding
    upgrade via
    """.split()
)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


def split_host_port(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`; the host without brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port):
        raise ValueError("expected host:port, as in 127.0.0.1:8080, [::1]:8080 or unix:/run/tidegate.sock")
    if int(port) > 65535:
        raise ValueError("a port is at most 65535")
    if host.startswith("[") and host.endswith("]"):
        return _v6(host[1:-1]), int(port)
    if ":" in host:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:8080")
    if not _HOST.fullmatch(host):
        raise ValueError("expected a host name or an IP address before the port; 0.0.0.0 is every IPv4 address")
    return host, int(port)


def _v6(text: str) -> str:
    try:
        IPv6Address(text)
    except ValueError:
        raise ValueError("what stands in brackets is not an IPv6 address") from None
    return text


def _address(text: str) -> str:
    if not text.startswith("unix:"):
        split_host_port(text)
    elif not text.startswith("unix:/") or "\0" in text:
        raise ValueError("a socket's path is absolute, as in unix:/run/tidegate.sock")
    return text


def _url(text: str) -> str:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("expected an http or https URL, as in http://127.0.0.1:9000")
    if url.username is not None or url.password is not None:
        raise ValueError("a URL here holds no user and no password")
    if "?" in text or "#" in text:
        raise ValueError("a URL here holds no query and no fragment: queries come from the client")
    if port == 0 or not (_HOST.fullmatch(url.hostname) or url.netloc.startswith("[")):
        raise ValueError("expected a host name or an IP address, and a port from 1 to 65535")
    if not re.fullmatch(r"[!-~]*", url.path) or re.search(r"/\.\.?(/|$)", url.path):
        raise ValueError("the URL's path is sent as it stands: percent-encode it, and write it without dot segments")
    return text


def _template(text: str) -> str:
    parse_template(text)
    return text


def _channel_pattern(text: str) -> str:
    if text.startswith("/"):
        return _template(text)
    return _message_pattern(text)


def _message_pattern(text: str) -> str:
    message_pattern(text)
    return text


def _plain_pattern(text: str) -> str:
    if "${" in text:
        raise ValueError("these settings are everybody's: write * for what differs")
    return _message_pattern(text)


def _json_path(text: str) -> str:
    parse_path(text)
    return text


def _rounding(value: object) -> object:
    if isinstance(value, str):
        raise PydanticKnownError("int_type")  # text from the environment is then read as one
    if isinstance(value, bool) or not isinstance(value, (int, dict)) or value == {}:
        raise ValueError("expected decimals, as in 2, or decimals by path, as in {price: 2, position.*: 4}")
    return value


def _unordered(value: object) -> object:
    if value is False or not isinstance(value, (bool, str, list)):
        raise ValueError("expected paths of arrays, as in [tags, lines.*.codes], or true for every array")
    return value


def _refresh(text: str) -> str:
    if text == SELF:
        return text
    template = parse_template(text)
    if template.rest or "*" in text.split("/"):
        raise ValueError("expected self, or one path, as in /api/shirts/{id}: * names no resource")
    return text


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("one of them stands here twice")
    return values


def _expression(text: str) -> str:
    compile_expression(text)
    return text


def _filled_template(text: str) -> str:
    parse_text(text)
    return text


def _by(parse: Callable[[str], object]) -> AfterValidator:
    """Text that can be parsed so; it stays as it is."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _identity_header(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("expected the name of a header, as in X-User")
    dashed = name.lower().replace("_", "-")  # as CGI-like backends read it
    if dashed.encode() in _NOT_AN_IDENTITYS or dashed.startswith("x-forwarded"):
        raise ValueError("this header has a meaning of its own: choose another, as in X-User")
    return name


def _method(text: str) -> str:
    if text != text.upper():
        raise ValueError("methods are written in upper case, as in GET")
    if not _METHOD.fullmatch(text):
        raise ValueError("expected a method, as in GET")
    return text


def _host(text: str) -> str:
    try:
        v6 = text.startswith("[") and text.endswith("]") and _v6(text[1:-1])
    except ValueError:
        v6 = False
    if not v6 and not _HOST.fullmatch(text):
        raise ValueError("expected one host name without port or wildcard, as in shop.example.com")
    return text.lower()


def _host_header(text: str) -> str:
    if text not in ("preserve", "upstream") and not re.fullmatch(r"[A-Za-z0-9_.\-\[\]:]{1,255}", text):
        raise ValueError("expected preserve, upstream, or the host to send")
    return text


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9_.\-\[\]:]+", text):
        raise ValueError("expected an origin without a path, as in https://shop.example.com, or *")
    return text.lower()


def _peer(text: str) -> str:
    if text != "unix":
        try:
            ip_network(text)
        except ValueError as error:
            if "host bits" in str(error):
                raise ValueError(
                    "this address is inside a network: write the network's own, or the address alone"
                ) from None
            raise ValueError("expected a network or an address, as in 10.0.0.0/8, ::1 or unix") from None
    return text


def _access_log(text: str) -> str:
    if text not in ("stdout", "stderr", "off") and ("/" not in text or "\0" in text):
        raise ValueError("expected stdout, stderr, off, or a file's path with a / in it")
    return text


def _matches(form: re.Pattern[str], sentence: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(sentence)
        return text

    return check


def at_least(least: str) -> AfterValidator:
    """A duration or size is not below this one, given as an operator writes it."""
    bound = parse_size(least) if least.endswith("B") else parse_duration(least)

    def check(value: T) -> T:
        if value < bound:
            raise ValueError(f"must be at least {least}")
        return value

    return AfterValidator(check)


def at_most(most: str) -> AfterValidator:
    """A size is not above this one, given as an operator writes it."""
    bound = parse_size(most)

    def check(value: T) -> T:
        if value > bound:
            raise ValueError(f"must be at most {most}")
        return value

    return AfterValidator(check)


def _filled(text: str) -> str:
    if not text:
        raise ValueError("is empty: give a value or remove it")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


Address = Annotated[str, AfterValidator(_address)]
BaseUrl = Annotated[str, AfterValidator(_url)]
Refresh = Annotated[str, AfterValidator(_refresh)]
Refreshes = Annotated[list[Refresh], AfterValidator(_distinct)]
PathTemplate = Annotated[str, AfterValidator(_template)]
ChannelPattern = Annotated[str, AfterValidator(_channel_pattern)]
MessagePattern = Annotated[str, AfterValidator(_message_pattern)]
MessageName = Annotated[str, _by(message_name)]
PlainPattern = Annotated[str, AfterValidator(_plain_pattern)]
Expression = Annotated[str, AfterValidator(_expression)]
Template = Annotated[str, AfterValidator(_filled_template)]
DeliveryText = Annotated[str, _by(delivery_text)]
DeliveryChannel = Annotated[str, _by(channel_name)]
DeliveryPath = Annotated[str, _by(path_text)]
DeliveryId = Annotated[str, _by(id_text)]
IdentityHeader = Annotated[str, AfterValidator(_identity_header)]
Method = Annotated[str, AfterValidator(_method)]
Host = Annotated[str, AfterValidator(_host)]
HostHeader = Annotated[str, AfterValidator(_host_header)]
Origin = Annotated[str, AfterValidator(_origin)]
LogTarget = Annotated[str, AfterValidator(_access_log)]
Text = Annotated[str, AfterValidator(_filled)]
Label = Annotated[str, AfterValidator(_matches(_LABEL, "expected 1 to 200 printable characters"))]
Name = Annotated[
    str, AfterValidator(_matches(_NAME, "a name is 1 to 64 letters, digits, dots, hyphens and underscores"))
]
Texts = Annotated[list[Text], AfterValidator(several), BeforeValidator(listed), OrText()]
Peers = Annotated[
    list[Annotated[str, AfterValidator(_peer)]], AfterValidator(_distinct), BeforeValidator(listed), OrText()
]
TextList = Annotated[list[Text], BeforeValidator(listed), OrText()]
JsonPath = Annotated[str, AfterValidator(_json_path)]
JsonPaths = Annotated[list[JsonPath], BeforeValidator(listed), OrText()]
# A float has 15 digits that are exact.
Places = Annotated[int, Field(ge=0, le=15)]
Rounding = Annotated[Places | dict[JsonPath, Places], BeforeValidator(_rounding)]
Unordered = Annotated[Literal[True] | JsonPaths, BeforeValidator(_unordered)]
Distinct = AfterValidator(several)
