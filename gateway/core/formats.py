"""How the messages of a session become bytes: json (text) and msgpack (binary), the subprotocols' names.

What a client sends is decoded strictly. What can't be understood at all raises `Unintelligible`: nobody could be
answered; a message that is wrong but says whose answer is wanted raises `Misread`, which becomes that answer.
A body that is not JSON travels as `{"base64": "..."}` in json, and as binary data in msgpack.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Raw

from gateway.core.asgi import Headers
from gateway.core.depth import too_deep
from gateway.core.event import Event, Json
from gateway.core.messages import ClientMessage, FromClient, Id, ServerMessage
from gateway.core.session_answer import answer_headers


class Unintelligible(ValueError):
    """Not a message at all."""


class Misread(ValueError):
    """A message with an id and a mistake; `code` is the answer's."""

    def __init__(self, answer_to: Id, code: str, detail: str) -> None:
        super().__init__(detail)
        self.id = answer_to
        self.code = code


class _Peek(msgspec.Struct, gc=False):
    op: str
    id: Id


_LOOK = msgspec.json.Decoder(Raw).decode
_OPS = frozenset(str(kind.__struct_config__.tag) for kind in FromClient.__subclasses__())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Format:
    """One way of writing messages.

    `body` gives the bytes that a request's body stands for, and whether they are JSON; `data` decodes what is
    published; both raise ValueError with a reason for the client. `headers` writes those of a response, and says
    whether they call its body JSON, which `answer` wraps. `event` makes the encoder of a channel's events: whole
    messages, which all who follow it share.
    """

    name: str
    binary: bool
    decode: Callable[[str | bytes], ClientMessage]
    encode: Callable[[ServerMessage], bytes]
    body: Callable[[Raw], tuple[bytes, bool]]
    data: Callable[[Raw], Json]
    headers: Callable[[Headers], tuple[Raw, bool]]
    answer: Callable[[bytes, bool], Raw]
    event: Callable[[str], Callable[[Event], bytes]]


def json_format(encode: Callable[[Json], bytes]) -> Format:
    """`tidegate.json.v1`; `encode` is the codec's."""
    decoder = msgspec.json.Decoder(ClientMessage)
    peek = msgspec.json.Decoder(_Peek)
    write = msgspec.json.Encoder().encode

    def event(channel: str) -> Callable[[Event], bytes]:
        head = b'{"op":"event","channel":' + msgspec.json.encode(channel) + b',"event":'
        return lambda event: head + encode(event.envelope()) + b"}"

    return Format(
        name="json",
        binary=False,
        decode=_decoder(decoder.decode, peek.decode),
        encode=write,
        body=_json_body,
        data=_json_data,
        headers=_headers(write),
        answer=_json_answer,
        event=event,
    )


def msgpack_format(encode: Callable[[Json], bytes]) -> Format:
    """`tidegate.msgpack.v1`; `encode` is the codec's."""
    decoder = msgspec.msgpack.Decoder(ClientMessage)
    peek = msgspec.msgpack.Decoder(_Peek)
    pack = msgspec.msgpack.Encoder().encode
    decode: Callable[[bytes], ClientMessage] = _decoder(decoder.decode, peek.decode)

    def answer(body: bytes, called_json: bool) -> Raw:
        value = _json_of(body) if called_json else None
        return Raw(pack(body) if value is None else encode(value[0]))

    def event(channel: str) -> Callable[[Event], bytes]:
        head = b"\x83" + pack("op") + pack("event") + pack("channel") + pack(channel) + pack("event")
        return lambda event: head + encode(event.envelope())

    return Format(
        name="msgpack",
        binary=True,
        decode=lambda data: decode(_binary(data)),
        encode=pack,
        body=_msgpack_body,
        data=_msgpack_data,
        headers=_headers(pack),
        answer=answer,
        event=event,
    )


D = TypeVar("D", str | bytes, bytes)


def _binary(data: str | bytes) -> bytes:
    if isinstance(data, str):
        raise Unintelligible("not a message: MessagePack is binary, not text")
    return data


def _decoder(decode: Callable[[D], ClientMessage], peek: Callable[[D], _Peek]) -> Callable[[D], ClientMessage]:
    def strict(data: D) -> ClientMessage:
        try:
            return decode(data)
        except msgspec.ValidationError as error:
            raise _misread(peek, data, str(error)) from None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise Unintelligible(f"not a message: {error}") from None
        except RecursionError:
            raise Unintelligible("not a message: it is nested too deeply") from None

    return strict


def _misread(peek: Callable[[D], _Peek], data: D, detail: str) -> Misread | Unintelligible:
    """Msgspec's reasons name keys and types, never values, but for an unknown op."""
    try:
        seen = peek(data)
    except (msgspec.DecodeError, UnicodeError):
        return Unintelligible("not a message: an object with an op and an id is expected")
    if seen.op not in _OPS:
        return Misread(seen.id, "unknown_op", f"there is no op {seen.op[:32]!r}; there are: {', '.join(sorted(_OPS))}")
    return Misread(seen.id, "bad_message", detail[:1].lower() + detail[1:])


def _json_body(raw: Raw) -> tuple[bytes, bool]:
    body = bytes(raw)
    if b'"base64"' not in body[:16]:
        return body, True
    try:
        wrapped = msgspec.json.decode(body)
        if isinstance(wrapped, dict) and wrapped.keys() == {"base64"}:
            return b64decode(wrapped["base64"], validate=True), False
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("body: base64 holds what is not base64") from None
    return body, True


def _headers(write: Callable[[object], bytes]) -> Callable[[Headers], tuple[Raw, bool]]:
    def headers(given: Headers) -> tuple[Raw, bool]:
        fields, called_json = answer_headers(given)
        return Raw(write(fields)), called_json

    return headers


def _json_answer(body: bytes, called_json: bool) -> Raw:
    if called_json and _is_json(body):
        return Raw(body)
    return Raw(b'{"base64":"' + b64encode(body) + b'"}')


def _is_json(body: bytes) -> bool:
    """Whether the bytes may stand in a message as they are; what reads like our own wrapping may not."""
    try:
        _LOOK(body)
        if not body.isascii():  # the line above looks at the syntax alone
            body.decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return b'"base64"' not in body.lstrip()[:16]  # which copies only where there are blanks


def _json_of(body: bytes) -> tuple[Json] | None:
    try:
        return (msgspec.json.decode(body),)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _msgpack_body(raw: Raw) -> tuple[bytes, bool]:
    value = _unpacked(raw)
    if isinstance(value, bytes):
        return value, False
    return _json_text(value), True


def _json_data(raw: Raw) -> Json:
    try:
        return _shallow(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ValueError("not JSON in UTF-8, or nested too deeply") from None


def _msgpack_data(raw: Raw) -> Json:
    value: Json = msgspec.json.decode(_json_text(_unpacked(raw)))
    return _shallow(value)


def _unpacked(raw: Raw) -> object:
    try:
        value: object = msgspec.msgpack.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ValueError("not MessagePack, or nested too deeply") from None
    return value


def _json_text(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("holds what JSON does not: binary data inside, extensions, NaN, or too many levels") from None


def _shallow(value: Json) -> Json:
    if too_deep(value):
        raise ValueError("nested too deeply")
    return value
