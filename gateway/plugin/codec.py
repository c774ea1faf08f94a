"""Codecs turn messages into bytes and back."""

from __future__ import annotations

from typing import Protocol

from gateway.core.event import Json


class Codec(Protocol):
    """Pure and stateless; called once per event, whatever the number of receivers."""

    @property
    def name(self) -> str:
        """As in the subprotocol `tidegate.NAME.v1`."""

    @property
    def binary(self) -> bool:
        """Whether WebSocket messages are binary rather than text."""

    def encode(self, value: Json, /) -> bytes:
        """Any JSON value, integers of any size included; one line, without a newline."""

    def decode(self, data: bytes | str, /) -> Json:
        """Raises ValueError, with a reason fit for the client, for anything that is not one whole value."""
