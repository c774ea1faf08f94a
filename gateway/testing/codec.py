"""What every codec must do, as tests: subclass `CodecContract` in a test file, and pytest runs them."""

from __future__ import annotations

from typing import cast

from gateway.core.event import Json
from gateway.plugin import Codec, Options, Plugin
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock
from gateway.testing.stage import context

AWKWARD: tuple[Json, ...] = (
    "line\nfeed", "carriage\rreturn", "both\r\n\r\n", "data: not a field\n\nid: nor this",
    "\u2028 \u2029 \x85 \x00 \x7f \ufeff", "\N{GRINNING FACE} caf\xe9", "", ",", "}{][", '"',
    0, -1, 2**31, 2**53 + 1, 2**63, -(2**64), 1e300, 0.1, None, True, [], {}, {"": [[]]},
)  # fmt: skip

# Answers of real APIs stay below ten; whatever a codec's own limit is, an application needs this much.
_DEEP = 30


class CodecContract:
    """Say what the codec is called."""

    name: str
    """as in the entry point, and in the subprotocol `tidegate.NAME.v1`"""
    values = AWKWARD
    """what must read back as it was"""

    def plugin(self) -> Plugin[Options, Codec]:
        """The installed plugin."""
        return cast("Plugin[Options, Codec]", find("codecs")[self.name].load())

    @property
    def codec(self) -> Codec:
        plugin = self.plugin()
        return plugin.make(plugin.options(), context(ManualClock()))

    def test_it_is_called_as_it_is_installed(self) -> None:
        assert self.codec.name == self.name

    def test_what_is_encoded_reads_back(self) -> None:
        codec = self.codec
        for value in (*self.values, list(self.values), {str(value): value for value in self.values}):
            read = codec.decode(codec.encode(value))
            assert read == value
            assert type(read) is type(value)
            assert codec.encode(value) == codec.encode(value)

    def test_depth_is_no_trouble(self) -> None:
        codec, deep = self.codec, cast("Json", None)
        for _ in range(_DEEP):
            deep = [{"deep": deep}]
        assert codec.decode(codec.encode(deep)) == deep

    def test_text_is_one_line(self) -> None:
        codec = self.codec
        if codec.binary:
            return
        for value in self.values:
            data = codec.encode({"a": value})
            assert not set(data) & set(b"\r\n")
            assert codec.decode(data.decode()) == codec.decode(data)

    def test_what_is_no_value_is_refused_with_a_reason(self) -> None:
        codec = self.codec
        whole = codec.encode([{"a": "text"}, 1])
        for data in (b"", *(whole[:end] for end in range(1, len(whole))), whole + whole, b"\xc1", b"[" * 100_000):
            assert refusal(codec, data), f"{data[:64]!r} was taken for a value, or refused without a reason"


def refusal(codec: Codec, data: bytes) -> str:
    """Why the codec will not decode this; empty when it does."""
    try:
        codec.decode(data)
    except ValueError as error:
        return str(error)
    return ""
