from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.core.asgi import Headers, Scope
from gateway.core.identity import Identity
from gateway.errors import ClientError
from gateway.proxy.inbound import SMALL_BODY, Inbound


class Wire:
    def __init__(self, raw_headers: Headers, trailers: Headers) -> None:
        self.raw_headers = raw_headers
        self.trailers = trailers
        self.whole = False
        self.notes: dict[object, Any] = {}
        self.taken = False
        self.answers: list[tuple[int, Headers, bytes]] = []
        self.reason = b""
        self.carried: list[Awaitable[None]] = []
        self.told: list[tuple[int, Headers]] = []

    def informational(self, status: int, headers: Headers, /) -> None:
        self.told.append((status, headers))

    def take(self) -> None:
        self.taken = True

    def answer(self, status: int, headers: Headers, body: bytes, notes: dict[object, Any], reason: bytes, /) -> None:
        self.answers.append((status, headers, body))
        self.reason = reason

    def carry(self, answer: Awaitable[None], /) -> None:
        self.carried.append(answer)


def scope_of(*headers: tuple[bytes, bytes], wire: Wire | None = None, **more: object) -> Scope:
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "raw_path": b"/a%2Fb",
        "query_string": b"",
        "headers": [(b"host", b"gate"), *headers],
        "client": ("192.0.2.1", 5),
        **more,
    }
    if wire is not None:
        scope["extensions"] = {"tidegate.wire": wire, "http.response.trailers": {}}
    return scope


@pytest.mark.parametrize(("query", "target"), [(b"", b"/a%2Fb"), (b"x=%20&&y?", b"/a%2Fb?x=%20&&y?")])
def test_the_target_is_untouched(query: bytes, target: bytes) -> None:
    assert Inbound(scope_of(query_string=query)).target == target


def test_an_empty_query_is_one() -> None:
    scope = scope_of()
    scope["extensions"] = {"tidegate.bare_query": {}}
    assert Inbound(scope).target == b"/a%2Fb?"


@pytest.mark.parametrize(
    ("headers", "version", "length", "small", "unsure"),
    [
        ([], "1.1", 0, True, False),
        ([], "1.0", 0, True, False),
        ([(b"content-length", b"5")], "1.1", 5, True, False),
        ([(b"content-length", b"5 ")], "1.1", 5, True, False),
        ([(b"content-length", b"%d" % SMALL_BODY)], "1.1", SMALL_BODY, True, False),
        ([(b"content-length", b"%d" % (SMALL_BODY + 1))], "1.1", SMALL_BODY + 1, False, False),
        ([(b"content-length", b"x")], "1.1", None, False, False),
        ([(b"transfer-encoding", b"chunked")], "1.1", None, False, False),
        ([], "2", None, False, True),
        ([(b"content-length", b"5")], "2", 5, True, False),
        ([], "3", None, False, True),
    ],
)
def test_what_the_head_says_of_the_body(
    headers: Headers, version: str, length: int | None, small: bool, unsure: bool
) -> None:
    inbound = Inbound(scope_of(*headers, http_version=version))
    assert (inbound.length, inbound.small, inbound.unsure) == (length, small, unsure)


def test_who_expects_a_100_is_not_collected_from() -> None:
    expects = (b"expect", b"100-Continue")
    inbound = Inbound(scope_of(expects, (b"content-length", b"5")))
    assert inbound.expects
    assert not inbound.small
    assert not Inbound(scope_of(expects)).expects, "there is nothing to wait for"


def test_headers_on_a_server_that_spells_them_in_lower_case() -> None:
    scope = scope_of((b"te", b"trailers"), (b"x-a", b"1"))
    headers = Inbound(scope).headers(None)
    assert headers[:2] == [(b"host", b"gate"), (b"x-a", b"1")]
    assert dict(headers)[b"X-Forwarded-Proto"] == b"https"
    assert scope["headers"] == [(b"host", b"gate"), (b"te", b"trailers"), (b"x-a", b"1")]


def test_headers_on_our_own_server() -> None:
    wire = Wire([(b"hOST", b"gate"), (b"Te", b"trailers"), (b"X-a", b"1")], [(b"X-Sum", b"1"), (b"Host", b"evil")])
    inbound = Inbound(scope_of((b"x-a", b"1"), wire=wire))
    headers = inbound.headers(b"shop")
    assert headers[:4] == [(b"hOST", b"shop"), (b"X-a", b"1"), (b"TE", b"trailers"), (b"Connection", b"TE")]
    assert inbound.trailers() == [(b"X-Sum", b"1")]
    assert wire.raw_headers[0] == (b"hOST", b"gate")


@pytest.mark.parametrize(
    ("version", "cookies"), [("1.1", [b"a=1", b"b=2"]), ("2", [b"a=1; b=2"]), ("3", [b"a=1; b=2"])]
)
def test_only_later_versions_send_a_cookie_in_pieces(version: str, cookies: list[bytes]) -> None:
    scope = scope_of((b"cookie", b"a=1"), (b"cookie", b"b=2"), http_version=version)
    assert [value for name, value in Inbound(scope).headers(None) if name == b"cookie"] == cookies


def test_a_client_on_a_local_socket() -> None:
    headers = dict(Inbound(scope_of(client=None)).headers(None))
    assert b"X-Forwarded-For" not in headers
    assert headers[b"Forwarded"] == b"for=unknown;host=gate;proto=https"


def test_who_waits_for_an_upstream() -> None:
    assert Inbound(scope_of(client=("192.0.2.1", 80))).client == "192.0.2.1"
    assert Inbound(scope_of(client=("2001:db8::1:2:3:4", 80))).client == "2001:db8::"  # all of a network are one
    assert Inbound(scope_of(client=("/tmp/socket", None))).client == ""
    assert Inbound(scope_of(client=None)).client == ""


def test_a_header_name_that_is_none() -> None:
    with pytest.raises(ClientError):
        Inbound(scope_of((b"a b", b""))).headers(None)


def test_informational_answers_go_where_they_can() -> None:
    Inbound(scope_of()).informational(103, [])
    wire = Wire([], [])
    Inbound(scope_of(wire=wire)).informational(103, [(b"Link", b"x"), (b"Keep-Alive", b"y")])
    assert wire.told == [(103, [(b"Link", b"x"), (b"Via", b"1.1 tidegate")])]


def test_a_body_that_came_while_an_authenticator_was_asked_is_not_forgotten() -> None:
    wire = Wire([(b"Content-Length", b"2")], [])
    wire.whole = True
    scope = scope_of((b"content-length", b"2"), wire=wire)
    assert Inbound(scope).length == 0, "whole from the start: there is none"
    scope["tidegate.identity"] = Identity(subject="ada", headers=((b"X-User", b"ada"),))
    inbound = Inbound(scope)
    assert (inbound.length, inbound.small) == (2, True)
    assert inbound.headers(None)[-1] == (b"X-User", b"ada")
