from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.plugin import AnySource, Context, Headers, Request, Share
from gateway.testing.clock import ManualClock
from gateway_plugins.codecs.json import JsonOptions
from gateway_plugins.codecs.json import plugin as json_plugin
from gateway_plugins.sources.poll import plugin
from gateway_plugins.sources.poll_options import PollOptions


def source(**options: object) -> AnySource:
    clock = ManualClock()
    codec = json_plugin.make(JsonOptions(), Context(clock=clock))
    return plugin.make(PollOptions.model_validate(options), Context(clock=clock, codecs={"json": codec}))


def share(headers: Headers, **options: object) -> Share:
    request = Request(kind="http", method="GET", target=b"/", headers=tuple(headers), params={}, options={})
    return source(**options).share(request)


ACCEPT = (b"accept", b"application/json")


def test_the_usual_credentials_are_forwarded_and_nothing_else() -> None:
    headers = [
        (b"Host", b"gateway"),
        (b"Cookie", b"session=1"),
        (b"X-Api-Key", b"k"),
        (b"AUTHORIZATION", b"Bearer t"),
        (b"Accept", b"text/event-stream"),
        (b"If-None-Match", b'"x"'),
    ]
    assert share(headers).headers == [(b"authorization", b"Bearer t"), (b"cookie", b"session=1"), ACCEPT]


def test_headers_that_the_operator_names_are_forwarded_instead() -> None:
    headers = [(b"Cookie", b"session=1"), (b"X-Api-Key", b"k")]
    assert share(headers, credentials={"forward": ["X-API-Key"]}).headers == [(b"x-api-key", b"k"), ACCEPT]


def test_no_credentials_make_one_channel_for_all() -> None:
    one = share([(b"authorization", b"Bearer 1")], credentials="none")
    two = share([(b"cookie", b"a=b")], credentials="none")
    assert one == two
    assert one.headers == [ACCEPT]


def test_equal_credentials_share() -> None:
    one = share([(b"Cookie", b"a=b"), (b"Authorization", b"Bearer t"), (b"user-agent", b"x")])
    two = share([(b"authorization", b"Bearer t"), (b"accept-language", b"de"), (b"cookie", b"a=b")])
    assert one == two


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([(b"authorization", b"Bearer t")], [(b"authorization", b"Bearer T")]),
        ([(b"authorization", b"Bearer t")], [(b"authorization", b"Bearer  t")]),
        ([(b"authorization", b"")], []),
        ([(b"authorization", b"a")], [(b"cookie", b"a")]),
        ([(b"authorization", b"a"), (b"authorization", b"b")], [(b"authorization", b"b"), (b"authorization", b"a")]),
        ([(b"authorization", b"a"), (b"authorization", b"b")], [(b"authorization", b"a")]),
        ([(b"authorization", b"ab"), (b"cookie", b"c")], [(b"authorization", b"a"), (b"cookie", b"bc")]),
        ([(b"authorization", b"a\0cookieb")], [(b"authorization", b"a"), (b"cookie", b"b")]),
    ],
)
def test_other_credentials_never_share(one: Headers, two: Headers) -> None:
    assert share(one).key != share(two).key


HEADERS = st.lists(
    st.tuples(st.sampled_from([b"authorization", b"Cookie", b"x-api-key"]), st.binary(max_size=3)), max_size=4
)


@given(HEADERS, HEADERS)
def test_the_key_is_that_of_what_goes_upstream(one: Headers, two: Headers) -> None:
    first, second = share(one), share(two)
    assert (first.key == second.key) == (first.headers == second.headers)


def test_the_key_is_a_digest() -> None:
    key = share([(b"authorization", b"Bearer t")]).key
    encoded = (13).to_bytes(8, "big") + b"authorization" + (8).to_bytes(8, "big") + b"Bearer t"
    assert key == sha256(encoded).digest()


def test_cookies_in_pieces_become_one() -> None:
    pieces = share([(b"cookie", b"a=1"), (b"authorization", b"x"), (b"cookie", b"b=2")])
    assert pieces.headers == [(b"authorization", b"x"), (b"cookie", b"a=1; b=2"), ACCEPT]
    assert pieces == share([(b"cookie", b"a=1; b=2"), (b"authorization", b"x")])


SOME = {"forward": ["authorization", "cookie:sid", "cookie:b"]}


@pytest.mark.parametrize(
    ("cookies", "sent"),
    [
        ([b"sid=1; _ga=2"], [(b"cookie", b"sid=1")]),
        ([b"_ga=2;sid=1 ;b=3"], [(b"cookie", b"b=3; sid=1")]),
        ([b"sid=1", b"_ga=2; b=3"], [(b"cookie", b"b=3; sid=1")]),
        ([b"sid=2; sid=1"], [(b"cookie", b"sid=2; sid=1")]),
        ([b"SID=1; sid2=1; xsid=1; _ga=sid=1"], []),
        ([b"sid"], [(b"cookie", b"sid")]),
        ([b""], []),
        ([], []),
    ],
)
def test_some_cookies_alone(cookies: list[bytes], sent: Headers) -> None:
    headers = [(b"cookie", one) for one in cookies] + [(b"authorization", b"x")]
    shared = share(headers, credentials=SOME)
    assert shared.headers == [(b"authorization", b"x"), *sent, ACCEPT]
    assert shared.key == share([(b"authorization", b"x"), *sent], credentials=SOME).key


def test_other_cookies_decide_nothing_and_these_all() -> None:
    keys = [share([(b"cookie", one)], credentials=SOME).key for one in (b"sid=1; _ga=2", b"_ga=3; sid=1", b"sid=2")]
    assert keys[0] == keys[1] != keys[2]


def test_defaults() -> None:
    options = PollOptions()
    assert options == PollOptions.model_validate(
        {
            "interval": "5s",
            "jitter": "10%",
            "timeout": "30s",
            "decode": "json",
            "conditional": {"etag": True, "max_304": 20, "ttl": "10m"},
            "credentials": "forward",
            "max_body": "5MB",
            "tolerate": 2,
            "max_backoff": "60s",
        }
    )


def test_an_interval_may_be_longer_than_the_default_backoff() -> None:
    assert PollOptions.model_validate({"interval": "1h"}).interval.base == 3600


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"interval": "99ms"}, "must be at least 100ms"),
        ({"interval": 5}, "expected a duration"),
        ({"max_backoff": "1ms"}, "must be at least 100ms"),
        ({"jitter": "51%"}, "a percentage from 0% to 50%"),
        ({"jitter": 0.1}, "a percentage from 0% to 50%"),
        ({"tolerate": -1}, "greater than or equal to 0"),
        ({"tolerate": "2"}, "valid integer"),
        ({"max_body": "1B"}, "from 1KB to 1GB"),
        ({"max_body": "2GB"}, "from 1KB to 1GB"),
        ({"credentials": "all"}, "expected forward, none, "),
        ({"credentials": None}, "expected forward, none, "),
        ({"credentials": ["cookie"]}, "expected forward, none, "),
        ({"credentials": {"forward": ["X Api Key"]}}, "expected the name of a header"),
        ({"credentials": {"forward": ["X-Key: 1"]}}, "expected the name of a header"),
        ({"credentials": {"forward": ["Host"]}}, "belongs to the poll itself"),
        ({"credentials": {"forward": ["if-none-match"]}}, "belongs to the poll itself"),
        ({"credentials": {"forward": ["Transfer-Encoding"]}}, "belongs to the poll itself"),
        ({"credentials": {"forwards": []}}, "Extra inputs"),
        ({"every": "5s"}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_are_wrong(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        PollOptions.model_validate(options)


def test_the_schema_shows_both_forms_of_credentials() -> None:
    schema = PollOptions.model_json_schema()
    assert schema["$defs"]["Credentials"]["anyOf"][0] == {"enum": ["forward", "none"]}
    assert schema["properties"]["jitter"]["pattern"]


def test_a_range_in_which_the_interval_adapts() -> None:
    interval = PollOptions.model_validate({"interval": {"base": "5s"}}).interval
    assert (interval.shortest, interval.base, interval.longest, interval.adapt) == (1.0, 5.0, 60.0, True)
    wide = PollOptions.model_validate({"interval": {"base": "5m", "min": "2s"}}).interval
    assert (wide.shortest, wide.base, wide.longest) == (2.0, 300.0, 300.0)


@pytest.mark.parametrize("interval", [{"base": "5s", "min": "6s"}, {"base": "5s", "max": "4s"}])
def test_a_range_that_does_not_hold_its_base(interval: object) -> None:
    with pytest.raises(ValidationError, match="expected min <= base <= max"):
        PollOptions.model_validate({"interval": interval})


@pytest.mark.parametrize(
    ("written", "effective"),
    [("5s", "5s"), ({"base": "5s", "max": "10s"}, {"base": "5s", "min": None, "max": "10s", "adapt": True})],
)
def test_an_interval_reads_back(written: object, effective: object) -> None:
    options = PollOptions.model_validate({"interval": written})
    assert options.model_dump(mode="json")["interval"] == effective
    assert PollOptions.model_validate(options.model_dump(mode="json")) == options


def test_the_gateways_own_credentials_are_everybodys() -> None:
    service = {"bearer": "s3cret", "headers": {"X-Api-Key": "k"}}
    one = share([(b"authorization", b"Bearer mine")], credentials={"service": service})
    two = share([(b"cookie", b"a=b")], credentials={"service": service})
    assert one == two
    assert one.headers == [(b"x-api-key", b"k"), (b"authorization", b"Bearer s3cret"), ACCEPT]
    basic = share([], credentials={"service": {"basic": {"user": "me", "password": "pw"}}})
    assert basic.headers == [(b"authorization", b"Basic bWU6cHc="), ACCEPT]


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        ({}, "expected forward or service"),
        ({"service": {}}, "expected bearer, basic, oauth2 or headers"),
        ({"service": {"bearer": "a"}, "forward": ["Cookie"]}, "two kinds"),
        ({"service": {"bearer": "a", "basic": {"user": "u", "password": "p"}}}, "both Authorization"),
        ({"service": {"bearer": "s3cret\r\nX-Evil: 1"}}, "a header cannot"),
    ],
)
def test_credentials_that_make_no_sense(credentials: object, why: str) -> None:
    with pytest.raises(ValidationError, match=why) as caught:
        PollOptions.model_validate({"credentials": credentials})
    assert "s3cret" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    options = PollOptions.model_validate({"credentials": {"service": {"bearer": "s3cret"}}})
    assert "s3cret" not in repr(options) + str(options.model_dump(mode="json"))


@pytest.mark.parametrize(("decode", "accept"), [("csv", b"text/csv"), ("ndjson", b"application/x-ndjson")])
def test_what_is_asked_for_is_the_format(decode: str, accept: bytes) -> None:
    assert share([], decode=decode).headers == [(b"accept", accept)]


@pytest.mark.parametrize("credentials", ["forward", "none"])
def test_the_body_of_a_query_is_in_the_key(credentials: str) -> None:
    keys = {
        share([(b"authorization", b"t")], credentials=credentials, **asked).key
        for asked in ({}, {"request": {"method": "POST", "body": "1"}}, {"request": {"method": "POST", "body": "2"}})
    }
    assert len(keys) == 3
    kept = share([], request={"method": "POST", "body": "1", "content_type": "text/plain"})
    assert (b"content-type", b"text/plain") in kept.headers
