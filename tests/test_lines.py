from __future__ import annotations

import asyncio
import contextlib
import gc
import socket

import pytest

from gateway.testing.source import turn
from tests.lines import Lines


@pytest.mark.parametrize("turns", range(10))
async def test_a_line_that_was_only_just_accepted_is_closed_as_well(turns: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    lines = Lines(serve)
    port = lines.listen()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(40)
        await turn(turns)
        await lines.stop()
        assert lines.tasks == set()
        gc.collect()  # would warn of what nobody has closed
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
