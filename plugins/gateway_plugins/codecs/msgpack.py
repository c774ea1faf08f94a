"""MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md): binary, for the values that JSON has.

Integers beyond 64 bits, which MessagePack does not have, become decimal strings. Refused are extension types,
binary data, keys that are not text, NaN and the infinities: no JSON client could be told of them.
"""

from __future__ import annotations

import json
from typing import NoReturn

import msgpack

from gateway.plugin import CodecPlugin, Context, Json, Options, Plugin, too_deep


class MsgpackOptions(Options):
    """There is nothing to choose."""


class MsgpackCodec:
    """The codec of the subprotocol `tidegate.msgpack.v1`."""

    name = "msgpack"
    binary = True

    def __init__(self, options: MsgpackOptions, context: Context) -> None:
        pass

    def encode(self, value: Json, /) -> bytes:
        try:
            packed: bytes = msgpack.packb(value)
        except OverflowError:
            packed = msgpack.packb(_fitting(value))
        return packed

    def decode(self, data: bytes | str, /) -> Json:
        if isinstance(data, str):
            raise ValueError("MessagePack is binary, not text")
        value = _unpack(data)
        if too_deep(value):
            raise ValueError("MessagePack is nested too deeply")
        try:
            json.dumps(value, allow_nan=False)  # the cheapest proof that every value and key is JSON's
        except (TypeError, ValueError):
            raise ValueError("MessagePack holds what JSON does not: binary data, NaN or infinity") from None
        return value


def _unpack(data: bytes) -> Json:
    # The unpacker's own limits follow from the length of the data: no length inside it can ask for more.
    try:
        value: Json = msgpack.unpackb(data, strict_map_key=True, max_ext_len=0, ext_hook=_refuse)
    except msgpack.ExtraData:
        raise ValueError("MessagePack goes on after the value") from None
    except msgpack.StackError:
        raise ValueError("MessagePack is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("MessagePack holds text that is not UTF-8") from None
    except ValueError as error:
        reason = str(error) or "malformed"
        raise ValueError(f"not MessagePack: {reason}") from None
    return value


def _refuse(code: int, data: bytes) -> NoReturn:
    raise ValueError("extension types are not JSON")


def _fitting(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _fitting(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fitting(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


plugin: CodecPlugin[MsgpackOptions] = Plugin(MsgpackOptions, MsgpackCodec)
