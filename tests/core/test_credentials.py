from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Header
from gateway.core.credentials import MAX_TOKEN, bearer_token, cookie_value, from_subprotocols, shows_token, with_token
from gateway.core.http import Request
from gateway.errors import ClientError


def request(*headers: Header) -> Request:
    return Request(kind="http", method="GET", target=b"/", headers=headers, params={}, options={})


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer   abc ", "abc"),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Basic abc", None),
        (b"", None),
    ],
)
def test_the_authorization_header(value: bytes, token: str | None) -> None:
    assert bearer_token(request((b"Authorization", value))) == token


def test_the_cookie_comes_after_the_header_and_only_by_its_name() -> None:
    cookies = request((b"cookie", b"a=1; token=abc"))
    assert bearer_token(cookies) is None
    assert bearer_token(cookies, "token") == "abc"
    assert bearer_token(request((b"authorization", b"Bearer x"), *cookies.headers), "token") == "x"


@pytest.mark.parametrize(
    ("cookies", "value"),
    [
        ([b"s=1"], b"1"),
        ([b"xs=0; s=1;s=2"], b"1"),
        ([b"a=b", b' s="1"'], b"1"),
        ([b"s"], None),
        ([b"S=1"], None),
        ([b"s=a=b"], b"a=b"),
        ([b"s="], b""),
        ([], None),
    ],
)
def test_cookies(cookies: list[bytes], value: bytes | None) -> None:
    assert cookie_value(request(*((b"Cookie", cookie) for cookie in cookies)), "s") == value


def test_huge_tokens_are_refused() -> None:
    assert bearer_token(request((b"authorization", b"Bearer " + b"a" * MAX_TOKEN))) is not None
    with pytest.raises(ClientError, match="too long"):
        bearer_token(request((b"authorization", b"Bearer " + b"a" * (MAX_TOKEN + 1))))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_a_token_among_the_subprotocols_is_an_authorization_header(token: str) -> None:
    protocol = "bearer." + urlsafe_b64encode(token.encode()).decode().rstrip("=")
    header, others = from_subprotocols(["x", protocol, "y"])
    assert header == (b"authorization", b"Bearer " + token.encode())
    assert others == ["x", "y"]


def test_without_a_token_nothing_changes() -> None:
    assert from_subprotocols([]) == (None, [])
    assert from_subprotocols(["tidegate.json.v1", "bearer"]) == (None, ["tidegate.json.v1", "bearer"])


@pytest.mark.parametrize(
    "offered",
    [
        ["bearer.YWJj"],
        ["x", "bearer."],
        ["x", "bearer.Y"],
        ["x", "bearer.DQo"],  # a line break
        ["x", "bearer.gA"],  # no ASCII
        ["x", "bearer.é"],
        ["x", "bearer.YWJj", "bearer.YWJk"],
    ],
)
def test_tokens_that_are_none(offered: list[str]) -> None:
    with pytest.raises(ClientError) as refused:
        from_subprotocols(offered)
    assert (refused.value.status, refused.value.code) == (400, "subprotocol")
    assert "YWJ" not in refused.value.detail


@pytest.mark.parametrize(
    ("value", "shown"), [(b"Bearer a", True), (b"bearer a", True), (b"Basic a", False), (b"", False)]
)
def test_a_token_that_could_be_replaced(value: bytes, shown: bool) -> None:
    assert shows_token(request((b"Authorization", value))) is shown


def test_another_token_takes_the_place_of_all_there_are() -> None:
    headers = ((b"a", b"1"), (b"Authorization", b"Bearer old"), (b"authorization", b"Basic old"), (b"cookie", b"c=d"))
    assert with_token(headers, "new") == [(b"a", b"1"), (b"cookie", b"c=d"), (b"authorization", b"Bearer new")]


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: 1", "\x7f", "é", "\ud800", "a\x00"])
def test_what_can_be_no_token(token: str) -> None:
    with pytest.raises(ClientError, match="printable ASCII"):
        with_token([], token)
