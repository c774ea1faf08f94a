"""A contract is worth what it refuses: codecs that are nearly right."""

from __future__ import annotations

import json
from typing import cast

import pytest

from gateway.plugin import Codec, Context, Json, Options, Plugin
from gateway.testing.codec import CodecContract


class Nearly:
    """Python's own JSON, with one fault."""

    name = "nearly"
    binary = False

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def encode(self, value: Json, /) -> bytes:
        if self._fault == "floats" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        return json.dumps(value, indent=1 if self._fault == "lines" else None).encode()

    def decode(self, data: bytes | str, /) -> Json:
        if self._fault == "lenient":
            text = data if isinstance(data, str) else data.decode()
            return cast("Json", json.JSONDecoder().raw_decode(text)[0]) if text else None
        return cast("Json", json.loads(data))


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("floats", "test_what_is_encoded_reads_back"),
        ("lines", "test_text_is_one_line"),
        ("lenient", "test_what_is_no_value_is_refused_with_a_reason"),
    ],
)
def test_a_fault_is_found(fault: str, test: str) -> None:
    def make(options: Options, context: Context) -> Codec:
        return Nearly(fault)

    class Contract(CodecContract):
        name = "nearly"

        def plugin(self) -> Plugin[Options, Codec]:
            return Plugin(Options, make)

    Contract().test_it_is_called_as_it_is_installed()
    with pytest.raises(AssertionError):
        getattr(Contract(), test)()
