from __future__ import annotations

import pytest

from gateway.wire.asgi import Ends, decoded, refused_scope
from tests.wire.wired import Line


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/a/b", "/a/b"),
        (b"/a%2Fb%20c", "/a/b c"),
        (b"/caf%C3%A9", "/café"),
        (b"/%ff", "/\ufffd"),
        (b"/%zz%", "/%zz%"),
        (b"/a+b", "/a+b"),
    ],
)
def test_paths_are_decoded(path: bytes, text: str) -> None:
    assert decoded(path) == text


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("192.0.2.1", 80), ("192.0.2.1", 80)),
        (("2001:db8::1", 80, 0, 0), ("2001:db8::1", 80)),
        ("/run/x.sock", ("/run/x.sock", None)),
        ("", None),
        (None, None),
    ],
)
async def test_ends(name: object, address: tuple[str, int | None] | None) -> None:
    line = Line()
    line.extra = {"peername": name, "sockname": name}
    assert (Ends(line).client, Ends(line).server) == (address, address)


async def test_a_request_that_was_not_understood() -> None:
    scope = refused_scope(Ends(Line()), "GET", b"/caf%C3%A9?token=x")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/café", b"/caf%C3%A9", b"token=x")
    assert scope["client"] == ("192.0.2.1", 4711)
