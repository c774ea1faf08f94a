from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import headers as rules
from gateway.core.asgi import Header, Headers
from gateway.core.headers import VIA, one_cookie, own, request_headers, response_headers, trailer_headers
from gateway.errors import ClientError

ADDED: tuple[Header, ...] = ((b"X-Forwarded-For", b"192.0.2.1"), (b"Via", b"1.1 tidegate"))

HOP_BY_HOP = [
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Connection",
    b"TE",
    b"Transfer-Encoding",
    b"Upgrade",
    b"HTTP2-Settings",
    b"Proxy-Authenticate",
    b"Proxy-Authentication-Info",
    b"Proxy-Authorization",
]


def up(headers: Headers, host: bytes | None = None, *, trailers: bool = True) -> Headers:
    """What goes upstream, without what is added to every request."""
    sent = request_headers(headers, host=host, trailers=trailers, added=ADDED)
    assert tuple(sent[-2:]) == ADDED
    return sent[:-2]


def down(headers: Headers) -> Headers:
    sent = response_headers(headers)
    assert sent[-1] == VIA
    return sent[:-1]


def test_whatever_passes_is_kept_exactly() -> None:
    headers = [
        (b"hOST", b"shop.example"),
        (b"X-B", b"2"),
        (b"x-a", b"caf\xe9 "),
        (b"X-B", b"1"),
        (b"Cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"Empty", b""),
    ]
    assert up(headers) == headers
    assert down(headers) == headers


@pytest.mark.parametrize("name", HOP_BY_HOP)
@pytest.mark.parametrize(
    "spell", [bytes.lower, bytes.upper, bytes.title, bytes], ids=["lower", "upper", "title", "as is"]
)
def test_hop_by_hop_headers_stay_on_their_hop(name: bytes, spell: type[bytes]) -> None:
    headers = [(b"A", b"1"), (spell(name), b"x"), (b"B", b"2")]
    assert up(headers) == [(b"A", b"1"), (b"B", b"2")]
    assert down(headers) == [(b"A", b"1"), (b"B", b"2")]


def test_headers_that_connection_names_are_removed() -> None:
    headers = [
        (b"X-Hop", b"1"),
        (b"Connection", b"close, x-hop ,"),
        (b"x-HOP", b"2"),
        (b"Connection", b"X-Other"),
        (b"X-Other", b"3"),
        (b"X-Stays", b"4"),
    ]
    assert up(headers) == [(b"X-Stays", b"4")]
    assert down(headers) == [(b"X-Stays", b"4")]


def test_a_connection_option_is_a_whole_token() -> None:
    headers = [(b"X-Foo", b"1"), (b"Foo", b"2"), (b"Connection", b"X-Foo-Bar, X-Fo")]
    assert up(headers) == [(b"X-Foo", b"1"), (b"Foo", b"2")]


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Authorization",
        b"Cookie",
        b"Content-Length",
        b"Content-Type",
        b"Origin",
        b"Expect",
        b"Via",
        b"X-Real-IP",
        b"X-API-Key",
        b"X-Request-ID",
        b"Sec-Fetch-Site",
        b"If-None-Match",
    ],
)
def test_connection_can_not_remove_what_the_backend_relies_on(name: bytes) -> None:
    pair = (name, b"x")
    assert up([pair, (b"Connection", b"close, " + name.lower())]) == [pair]
    assert up([(b"Connection", name), pair]) == [pair]


def test_connection_can_not_remove_what_is_added() -> None:
    sent = request_headers(
        [(b"Connection", b"X-Forwarded-For, Via, Host"), (b"Host", b"a")], host=b"b", trailers=False, added=ADDED
    )
    assert sent == [(b"Host", b"b"), *ADDED]


@pytest.mark.parametrize("name", [b"Set-Cookie", b"Cache-Control", b"Vary", b"Content-Encoding", b"WWW-Authenticate"])
def test_an_upstreams_connection_can_not_remove_these_from_an_answer(name: bytes) -> None:
    assert down([(b"Connection", name), (name, b"x")]) == [(name, b"x")]


@pytest.mark.parametrize(
    "name",
    [
        b"X-Forwarded-For",
        b"x-forwarded-proto",
        b"X-FORWARDED-HOST",
        b"X-Forwarded-Anything",
        b"X-Forwarded",
        b"Forwarded",
        b"X_Forwarded_For",
        b"x-forwarded_for",
        b"Transfer_Encoding",
        b"Proxy_Authorization",
    ],
)
def test_what_the_client_says_of_proxies_before_us_is_not_believed(name: bytes) -> None:
    assert up([(name, b"203.0.113.9"), (b"A", b"1")]) == [(b"A", b"1")]


def test_an_answer_keeps_names_that_mean_something_in_requests_only() -> None:
    headers = [(b"Host", b"x"), (b"Forwarded", b"for=x"), (b"X-Forwarded-For", b"y"), (b"Keep_Alive", b"z")]
    assert down(headers) == headers


def test_host_is_the_clients_or_the_one_given() -> None:
    headers = [(b"A", b"1"), (b"host", b"client"), (b"B", b"2")]
    assert up(headers) == headers
    assert up(headers, b"shop:9000") == [(b"A", b"1"), (b"host", b"shop:9000"), (b"B", b"2")]


def test_only_the_first_host_goes_upstream() -> None:
    headers = [(b"Host", b"one"), (b"HOST", b"two")]
    assert up(headers) == [(b"Host", b"one")]
    assert up(headers, b"given") == [(b"Host", b"given")]


@pytest.mark.parametrize("value", [b"trailers", b"deflate, Trailers", b"gzip;q=0.5 , trailers"])
def test_te_trailers_is_asked_anew(value: bytes) -> None:
    headers = [(b"TE", value), (b"Connection", b"TE"), (b"A", b"1")]
    assert up(headers) == [(b"A", b"1"), (b"TE", b"trailers"), (b"Connection", b"TE")]
    assert up(headers, trailers=False) == [(b"A", b"1")]


@pytest.mark.parametrize("value", [b"gzip", b"", b"trailersx", b"x-trailers"])
def test_other_transfer_codings_are_not(value: bytes) -> None:
    assert up([(b"TE", value)]) == []


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\n", b"caf\xe9", b"(x)"])
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        up([(name, b"1")])
    assert caught.value.status == 400


def test_trailers_do_not_frame_route_or_authenticate() -> None:
    kept = [(b"X-Checksum", b"1"), (b"Server-Timing", b"2")]
    forbidden = [
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"host", b"x"),
        (b"Authorization", b"x"),
        (b"X-Forwarded-For", b"x"),
        (b"X_Forwarded_For", b"x"),
        (b"Set-Cookie", b"x"),
        (b"Connection", b"x"),
    ]
    assert trailer_headers(kept[:1] + forbidden + kept[1:]) == kept


def test_a_cookie_in_crumbs_is_joined() -> None:
    headers = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2; c=3")]
    assert one_cookie(headers) == [(b"x", b"y"), (b"cookie", b"a=1; b=2; c=3")]
    assert one_cookie(headers[:2]) == headers[:2]


def test_the_names_that_are_remembered_are_bounded() -> None:
    for number in range(5000):
        name = b"X-Made-Up-%d" % number
        assert up([(name, b"")]) == [(name, b"")]
        assert down([(name, b"")]) == [(name, b"")]
    assert max(len(rules._request_rules), len(rules._response_rules)) <= 1024
    assert up([(b"Proxy-AUTHORIZATION", b"x"), (b"x-forwarded-FOO", b"y")]) == []


tokens = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_!", min_size=1, max_size=12)
names = st.one_of(
    tokens.map(str.encode),
    st.sampled_from([*HOP_BY_HOP, b"Host", b"Cookie", b"X-Forwarded-For", b"Forwarded", b"Authorization"]),
)
values = st.one_of(
    st.binary(max_size=12), st.lists(names, max_size=3).map(b", ".join), st.sampled_from([b"close", b"trailers"])
)
headers_lists = st.lists(st.tuples(names, values), max_size=12)


def naive(headers: Headers, host: bytes | None) -> Headers:
    """The same rules the slow way, for headers whose `Connection` names nothing."""
    kept: Headers = []
    seen = False
    for name, value in headers:
        lower = name.lower().decode().replace("_", "-")
        if (
            lower.startswith("x-forwarded")
            or lower == "forwarded"
            or lower.title().encode() in {n.title() for n in HOP_BY_HOP}
        ):
            continue
        if lower == "host":
            if not seen:
                kept.append((name, value if host is None else host))
            seen = True
            continue
        kept.append((name, value))
    return kept


@given(headers_lists, st.sampled_from([None, b"upstream:1"]))
def test_the_rules_agree_with_a_naive_model(headers: Headers, host: bytes | None) -> None:
    plain = [pair for pair in headers if pair[0].lower() not in (b"connection", b"te")]
    assert up(plain, host) == naive(plain, host)


@given(headers_lists)
def test_what_passes_keeps_its_order_and_its_bytes(headers: Headers) -> None:
    for sent in (up(headers, trailers=False), down(headers)):
        rest = iter(headers)
        assert all(pair in rest for pair in sent), "a subsequence"
        lower = [name.lower() for name, _ in sent]
        assert not {name.lower() for name in HOP_BY_HOP} & set(lower)
    kept = [name for name, _ in up(headers, trailers=False)]
    for name, _ in headers:
        if name in (b"Authorization", b"Cookie"):
            assert name in kept


@given(headers_lists)
def test_a_second_gateway_changes_nothing_more(headers: Headers) -> None:
    once = response_headers(headers)
    assert response_headers(once) == [*once, VIA]


@pytest.mark.parametrize("name", [b"Content_Length", b"host_", b"X_Real-IP", b"aUTHORIZATION_"])
def test_names_with_underscores_pass_unless_they_are_known_with_dashes(name: bytes) -> None:
    known = name in (b"Content_Length", b"X_Real-IP")
    assert up([(b"my_name", b"1"), (name, b"2")]) == [(b"my_name", b"1"), *([] if known else [(name, b"2")])]


def test_what_cgi_takes_for_a_variable_is_removed() -> None:
    assert up([(b"Proxy", b"http://evil")]) == []


def test_names_that_the_gateway_sets_are_removed_from_what_clients_send() -> None:
    sent = [(b"X-User", b"root"), (b"x_user", b"root"), (b"X-USER_", b"1")]
    assert up(sent) == sent
    try:
        own([b"X-User"])
        assert up(sent) == [(b"X-USER_", b"1")]
        assert trailer_headers(sent) == [(b"X-USER_", b"1")]
    finally:
        own([])
    assert up(sent) == sent
