"""The codec contract on every built-in one."""

from __future__ import annotations

from gateway.testing.codec import AWKWARD, CodecContract


class TestJson(CodecContract):
    name = "json"


class TestMsgpack(CodecContract):
    name = "msgpack"
    values = tuple(value for value in AWKWARD if value != -(2**64))  # a decimal string
