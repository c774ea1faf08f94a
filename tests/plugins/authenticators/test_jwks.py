"""An issuer's keys: found, looked at again, kept while the issuer is down; and what hostile tokens and sets can do."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from gateway.errors import UpstreamTimeout
from gateway.plugin import Answer, UpstreamError
from gateway.testing.clock import ManualClock
from gateway_plugins.authenticators.jwks import KeySet, check_url
from gateway_plugins.authenticators.jwt_keys import ASYMMETRIC
from tests.plugins.authenticators.issuer import Upstream, context, jwk, key_set

DOWN = UpstreamTimeout("the issuer did not answer")
GOOD = key_set(jwk("RS256", "a"), jwk("ES256", "b"))


def made(upstream: Upstream, clock: ManualClock, refresh: float = 300.0) -> KeySet:
    return KeySet("https://id.example/keys?v=1", ASYMMETRIC, refresh, context(clock, upstream))


async def test_a_key_is_found_by_its_name_and_keys_are_fetched_once() -> None:
    upstream = Upstream([GOOD])
    keys = made(upstream, ManualClock())
    ((_, rsa),) = await keys.find("a")
    ((_, ec),) = await keys.find("b")
    assert (rsa, ec, len(upstream.asked)) == (["RS256"], ["ES256"], 1)
    method, target, headers = upstream.asked[0]
    assert (method, target, [name for name, _ in headers]) == ("GET", b"/keys?v=1", [b"accept"])


async def test_without_a_name_only_the_only_key_counts() -> None:
    assert await made(Upstream([GOOD]), ManualClock()).find(None) == []
    ((_, algorithms),) = await made(Upstream([key_set(jwk("EdDSA", "x"))]), ManualClock()).find(None)
    assert algorithms == ["EdDSA"]


async def test_one_request_asks_for_everybody() -> None:
    upstream = Upstream([GOOD], hold=asyncio.Event())
    keys = made(upstream, ManualClock())
    waiting = asyncio.gather(*(keys.find("a") for _ in range(50)))
    await asyncio.sleep(0)
    assert upstream.hold is not None
    upstream.hold.set()
    assert all(await waiting)
    assert len(upstream.asked) == 1


async def test_an_unknown_name_is_looked_for_once_in_a_while() -> None:
    clock, upstream = ManualClock(), Upstream([GOOD, key_set(jwk("RS256", "new"))])
    keys = made(upstream, clock)
    await keys.find("a")
    clock.advance(11)
    ((_, algorithms),) = await keys.find("new")
    assert (algorithms, len(upstream.asked)) == (["RS256"], 2)
    for number in range(100):
        assert await keys.find(f"made-up-{number}") == []
    assert len(upstream.asked) == 2
    clock.advance(11)
    await asyncio.gather(*(keys.find(f"made-up-{number}") for number in range(100)))
    assert len(upstream.asked) == 3


async def test_keys_count_while_the_issuer_is_down_and_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock, upstream = ManualClock(), Upstream([GOOD, DOWN, DOWN, DOWN, GOOD])
    keys = made(upstream, clock)
    for pause in (0, 301, 301, 5, 301, 301):
        clock.advance(pause)
        assert await keys.find("a")
    assert len(upstream.asked) == 5, "not asked again 5 s after it failed"
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "the keys of id.example cannot be fetched",
        "the keys of id.example are fetched again",
    ]


async def test_nobody_waits_for_a_look_at_keys_that_still_count() -> None:
    clock, upstream = ManualClock(), Upstream([GOOD])
    keys = made(upstream, clock)
    await keys.find("a")
    clock.advance(301)
    upstream.hold = asyncio.Event()
    first = asyncio.get_running_loop().create_task(keys.find("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await keys.find("a"), "answered while the first waits"
    assert not first.done()
    upstream.hold.set()
    assert await first


async def test_without_keys_nobody_is_let_in_and_the_issuer_is_not_hammered() -> None:
    clock, upstream = ManualClock(), Upstream([DOWN, GOOD])
    keys = made(upstream, clock)
    for _ in range(20):
        with pytest.raises(UpstreamError):
            await keys.find("a")
    assert len(upstream.asked) == 1
    clock.advance(11)
    assert await keys.find("a")


async def test_a_client_that_leaves_does_not_keep_the_next_from_asking() -> None:
    upstream = Upstream([GOOD], hold=asyncio.Event())
    keys = made(upstream, ManualClock())
    first = asyncio.get_running_loop().create_task(keys.find("a"))
    await asyncio.sleep(0)
    second = asyncio.get_running_loop().create_task(keys.find("a"))
    await asyncio.sleep(0)
    first.cancel()
    assert upstream.hold is not None
    upstream.hold.set()
    assert await second


async def test_keys_that_were_not_seen_for_days_count_no_longer() -> None:
    clock, upstream = ManualClock(), Upstream([GOOD, DOWN])
    keys = made(upstream, clock)
    await keys.find("a")
    clock.advance(3 * 86400 + 1)
    with pytest.raises(UpstreamError):
        await keys.find("a")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=302, headers=((b"location", b"http://evil/"),), body=GOOD.body),
        Answer(status=404, headers=(), body=GOOD.body),
        Answer(status=200, headers=(), body=b"<html>"),
        Answer(status=200, headers=(), body=b"[" * 100_000),
        Answer(status=200, headers=(), body=b"[]"),
        Answer(status=200, headers=(), body=b'{"keys": {}}'),
        Answer(status=200, headers=(), body=b"x" * 300_000),
        key_set(),
        key_set(*[jwk("ES256", str(number)) for number in range(101)]),
        key_set({"kty": "oct", "k": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s", "kid": "a"}),
        key_set({"kty": "RSA", "kid": "a"}, {"kty": "EC", "crv": "P-256", "x": "!", "y": "", "kid": "a"}, {"kty": 7}),
        key_set(jwk("RS256", "a", use="enc")),
        key_set(jwk("RS256", "a", alg="RS512")),
        key_set(jwk("RS256", "a", alg="HS256")),
        key_set(jwk("RS256", "a", d="AQAB")),
        key_set(jwk("ES384", "a")),
    ],
)
async def test_what_is_no_set_of_usable_keys_changes_nothing(answer: Answer) -> None:
    clock = ManualClock()
    keys = made(Upstream([GOOD, answer]), clock)
    await keys.find("a")
    clock.advance(301)
    ((_, algorithms),) = await keys.find("a")
    assert algorithms == ["RS256"]
    with pytest.raises(UpstreamError):
        await made(Upstream([answer]), ManualClock()).find("a")


async def test_one_bad_key_does_not_spoil_the_others() -> None:
    document = json.loads(GOOD.body)
    document["keys"] += [None, 7, {"kty": "RSA", "n": "!"}]
    upstream = Upstream([Answer(status=200, headers=(), body=json.dumps(document).encode())])
    assert await made(upstream, ManualClock()).find("a")


def test_where_keys_may_come_from() -> None:
    assert check_url("https://id.example/keys") == "https://id.example/keys"
    with pytest.raises(ValueError, match="fetch them by https"):
        check_url("http://id.example/keys")
