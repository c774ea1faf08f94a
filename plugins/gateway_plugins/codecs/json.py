"""JSON (RFC 8259): text, compact, integers of any size exactly as they came.

What is not JSON is refused with a reason that holds nothing of the data; so is what is nested too deeply for
encoders elsewhere. Of equal names in one object, the last wins.
"""

from __future__ import annotations

import msgspec

from gateway.plugin import MAX_DEPTH, CodecPlugin, Context, Json, Options, Plugin, too_deep

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class JsonOptions(Options):
    """There is nothing to choose."""


class JsonCodec:
    """The codec of the subprotocol `tidegate.json.v1`."""

    name = "json"
    binary = False

    def __init__(self, options: JsonOptions, context: Context) -> None:
        pass

    def encode(self, value: Json, /) -> bytes:
        return _encode(value)

    def decode(self, data: bytes | str, /) -> Json:
        try:
            value: Json = _decode(data)
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None
        except (UnicodeError, msgspec.DecodeError) as error:
            if isinstance(error, UnicodeError) or "UTF-8" in str(error):  # the one until msgspec 0.22, the other since
                raise ValueError("JSON is not UTF-8") from None
            raise ValueError(f"not JSON: {error}") from None
        if _may_be_deep(data) and too_deep(value):
            raise ValueError("JSON is nested too deeply")
        return value


def _may_be_deep(data: bytes | str) -> bool:
    """Counting brackets is far cheaper than walking the value, and nearly every message is too short to be deep."""
    if isinstance(data, str):
        return data.count("[") + data.count("{") > MAX_DEPTH
    return data.count(b"[") + data.count(b"{") > MAX_DEPTH


plugin: CodecPlugin[JsonOptions] = Plugin(JsonOptions, JsonCodec)
