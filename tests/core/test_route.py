"""Path templates and the route table."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.route import Match, Miss, RouteTable, Template, decode_path, host_name, parse_template
from gateway.errors import ClientError


@dataclass(frozen=True, slots=True)
class Route:
    path: Template
    methods: frozenset[str] = frozenset()
    host: str | None = None


def route(path: str, *methods: str, host: str | None = None) -> Route:
    return Route(parse_template(path), frozenset(methods), host)


def find(table: RouteTable[Route], path: bytes, method: str = "GET", host: bytes | None = None) -> str:
    found = table.match(method, path, host)
    return found.route.path.text if isinstance(found, Match) else f"miss {','.join(found.allow)}".strip()


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("/", b"/", {}),
        ("/a/b", b"/a/b", {}),
        ("/a/", b"/a/", {}),
        ("/a b", b"/a%20b", {}),
        ("/a", b"/%61", {}),
        ("/café", b"/caf%C3%A9", {}),
        ("/café", "/café".encode(), {}),
        ("/orders/{id}", b"/orders/7", {"id": "7"}),
        ("/orders/{id}", b"/orders/a%2Fb", {"id": "a/b"}),
        ("/orders/{id}", b"/orders/%ff", {"id": "�"}),
        ("/orders/{id}", b"/orders/%zz", {"id": "%zz"}),
        ("/orders/{id}/lines/{line}", b"/orders/7/lines/2", {"id": "7", "line": "2"}),
        ("/a/*/c", b"/a/b/c", {}),
        ("/**", b"/", {}),
        ("/**", b"/x//y/", {}),
        ("/**", b"/%ff/%01", {}),
        ("/files/**", b"/files", {}),
        ("/files/**", b"/files/", {}),
        ("/{shop}/**", b"/north/a/b", {"shop": "north"}),
        ("/.well-known/x", b"/.well-known/x", {}),
    ],
)
def test_fits(template: str, path: bytes, params: dict[str, str]) -> None:
    found = RouteTable([route(template)]).match("GET", path, None)
    assert isinstance(found, Match)
    assert dict(found.params) == params


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/a", b"/a/"),
        ("/a", b"/A"),
        ("/a/b", b"/a%2Fb"),
        ("/a/b", b"/a//b"),
        ("/orders/{id}", b"/orders/"),
        ("/orders/{id}", b"/orders"),
        ("/orders/{id}", b"/orders/7/lines"),
        ("/a/*", b"/a/"),
        ("/files/**", b"/filesystem"),
        ("/{shop}/**", b"/"),
        ("/**", b"*"),
        ("/**", b""),
    ],
)
def test_does_not_fit(template: str, path: bytes) -> None:
    assert RouteTable([route(template)]).match("GET", path, None) == Miss()


@pytest.mark.parametrize(
    "path",
    [
        b"/..",
        b"/a/../b",
        b"/a/./b",
        b"/%2e%2E/b",
        b"/.%2e",
        b"/a/..%2fb",
        b"/a/x%2f..%2fb",
        b"/a\\..\\b",
        b"/a/..%5cb",
        b"/a/..;/b",
        b"/a/..;v=1/b",
    ],
)
def test_dot_segments_are_refused(path: bytes) -> None:
    table = RouteTable([route("/a/x"), route("/**")])
    with pytest.raises(ClientError) as refused:
        table.match("GET", path, None)
    assert (refused.value.status, refused.value.code) == (400, "dot_segments")


def test_an_encoded_nul_is_refused() -> None:
    with pytest.raises(ClientError) as refused:
        RouteTable([route("/**")]).match("GET", b"/a%00.html", None)
    assert (refused.value.status, refused.value.code) == (400, "bad_target")


@pytest.mark.parametrize("path", [b"/.hidden", b"/a/...", b"/a..b/c.", b"/a/%2e%2e%2e", b"/v1.0/x;y=.."])
def test_other_dots_are_not(path: bytes) -> None:
    assert find(RouteTable([route("/**")]), path) == "/**"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with /"),
        ("orders", "begins with /"),
        ("**", "begins with /"),
        ("/**/x", "only at the end"),
        ("/a//b", "empty"),
        ("/a//**", "empty"),
        ("/{id}/{id}", "{id} appears twice"),
        ("/{id}.json", "whole segment"),
        ("/{a-b}", "whole segment"),
        ("/{}", "whole segment"),
        ("/x*", "whole segment"),
        ("/a?b=1", "no query"),
        ("/a%20b", "decoded"),
        ("/a/../b", "dot segments"),
        ("/a\\b", "never fit"),
        ("/a\n", "never fit"),
    ],
)
def test_wrong_templates(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as wrong:
        parse_template(text)
    assert why in str(wrong.value)


def test_the_first_in_file_order_wins() -> None:
    table = RouteTable([route("/a/{x}"), route("/a/b"), route("/**"), route("/c")])
    assert [find(table, path) for path in (b"/a/b", b"/a/z", b"/c", b"/a")] == [
        "/a/{x}",
        "/a/{x}",
        "/**",
        "/**",
    ]


def test_a_literal_before_a_pattern_wins() -> None:
    table = RouteTable([route("/a/b"), route("/*/b"), route("/a/{x}")])
    assert [find(table, path) for path in (b"/a/b", b"/%61/b", b"/z/b", b"/a/c")] == [
        "/a/b",
        "/a/b",
        "/*/b",
        "/a/{x}",
    ]


def test_methods_fall_through_to_the_next_route() -> None:
    table = RouteTable([route("/a", "GET"), route("/a", "POST"), route("/b", "PUT"), route("/b/**")])
    assert find(table, b"/a", "POST") == "/a"
    assert find(table, b"/a", "DELETE") == "miss GET,POST"
    assert find(table, b"/%61", "DELETE") == "miss GET,POST"
    assert find(table, b"/b", "GET") == "/b/**"
    assert find(table, b"/z", "GET") == "miss"


def test_hosts() -> None:
    table = RouteTable([route("/a", host="shop.example"), route("/a", "GET", host="[::1]")])
    assert find(table, b"/a", host=b"SHOP.example:8080") == "/a"
    assert find(table, b"/a", host=b"[::1]:80") == "/a"
    assert find(table, b"/a", "PUT", host=b"[::1]") == "miss GET"
    assert find(table, b"/a", host=b"other") == "miss"
    assert find(table, b"/a") == "miss"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"a.b", "a.b"),
        (b"A.b:80", "a.b"),
        (b"a:", "a"),
        (b"[::1]", "[::1]"),
        (b"[::1]:8", "[::1]"),
        (None, ""),
    ],
)
def test_host_name(header: bytes | None, name: str) -> None:
    assert host_name(header) == name


def test_a_miss_is_an_answer() -> None:
    assert Miss().error().status == 404
    error = Miss(("GET", "PUT")).error()
    assert (error.status, error.headers) == (405, ((b"allow", b"GET, PUT"),))


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("/**", "/", True),
        ("/**", "/a/{x}/**", True),
        ("/a/**", "/a", True),
        ("/a/**", "/b", False),
        ("/a/{x}", "/a/b", True),
        ("/a/{x}", "/a/*", True),
        ("/a/b", "/a/{x}", False),
        ("/a/{x}", "/a/", False),
        ("/a/{x}", "/a/**", False),
        ("/*/**", "/**", False),
        ("/a", "/a", True),
        ("/a", "/a/", False),
    ],
)
def test_covers(wide: str, narrow: str, covers: bool) -> None:
    assert parse_template(wide).covers(parse_template(narrow)) is covers


TEMPLATES = st.lists(st.sampled_from(["a", "b", "{x}", "*", "**"]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(part for index, part in enumerate(parts) if part != "**" or index == len(parts) - 1)
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))


@given(
    TEMPLATES.filter(lambda text: text.count("{x}") < 2),
    TEMPLATES.filter(lambda t: t.count("{x}") < 2),
    PATHS,
)
def test_what_covers_fits_all_that_the_other_fits(wide: str, narrow: str, path: str) -> None:
    one, other = parse_template(wide), parse_template(narrow)
    decoded = decode_path(path.encode())
    if one.covers(other) and other.fit(decoded) is not None:
        assert one.fit(decoded) is not None


@given(st.lists(TEMPLATES.filter(lambda text: text.count("{x}") < 2), max_size=6), PATHS)
def test_the_table_is_the_plain_loop(texts: list[str], path: str) -> None:
    table = RouteTable([route(text) for text in texts])
    fits = [text for text in texts if parse_template(text).fit(decode_path(path.encode())) is not None]
    assert find(table, path.encode()) == (fits[0] if fits else "miss")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_a_parameter_is_what_the_client_encoded(text: str) -> None:
    table = RouteTable([route("/orders/{id}")])
    encoded = b"/orders/" + quote(text, safe="").encode()
    pieces = text.replace("\\", "/").split("/")
    if "\0" in text or any(piece.split(";")[0] in (".", "..") for piece in pieces):
        with pytest.raises(ClientError):
            table.match("GET", encoded, None)
    else:
        found = table.match("GET", encoded, None)
        assert isinstance(found, Match)
        assert found.params["id"] == text


@given(st.binary(max_size=30))
def test_any_bytes_are_a_path_or_refused(tail: bytes) -> None:
    table = RouteTable([route("/a/{x}"), route("/**")])
    try:
        found = table.match("GET", b"/" + tail, None)
    except ClientError:
        assert b"." in tail or b"%2e" in tail.lower() or b"\0" in tail or b"%00" in tail
    else:
        assert isinstance(found, Match)
