"""What every authenticator has to do, as tests: subclass `AuthenticatorContract` and give its fixtures.

class TestMine(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self) -> Authenticator: ...    # a new one, which takes `good`
    @pytest.fixture
    def good(self) -> Request: ...                   # with credentials that hold
    @pytest.fixture
    def bad(self) -> Request: ...                    # with credentials of the same kind that don't
    @pytest.fixture
    def secrets(self) -> list[bytes]: ...            # what of both nobody may see
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import replace

import pytest

from gateway.errors import TidegateError
from gateway.plugin import Authenticator, ClientError, Header, Identity, Request

_JUNK = (
    b"",
    b" ",
    b"\x00\xff\xfe",
    b"a" * 60_000,
    b"." * 1000,
    b"e30.e30.e30",
    b"Bearer",
    b"Bearer \xff\xfe.\xff.\xff",
    b"Bearer " + b"a" * 60_000,
    b"Bearer e30.e30.",
    b"Basic OjpbXQ==",
    b"Basic \xff",
    b"=;;;=;",
    b'{"a": [[[[',
)


def asking(*headers: Header) -> Request:
    """A request with these headers, of the kind that authenticators are given."""
    return Request(kind="http", method="GET", target=b"/api", headers=headers, params={}, options={})


class AuthenticatorContract:
    """The contract of `gateway.plugin.Authenticator`."""

    async def test_the_challenge_is_a_header_of_its_own(self, authenticator: Authenticator) -> None:
        challenge = authenticator.challenge
        assert challenge[:1].isalpha(), "it begins with the scheme's name"
        assert challenge.decode("ascii").isprintable()

    @pytest.mark.parametrize("headers", [(), ((b"accept", b"*/*"), (b"user-agent", b"x"))])
    async def test_without_credentials_it_knows_nobody(
        self, authenticator: Authenticator, headers: tuple[Header, ...]
    ) -> None:
        assert await authenticator.authenticate(asking(*headers)) is None

    async def test_good_credentials_make_an_identity(self, authenticator: Authenticator, good: Request) -> None:
        identity = await authenticator.authenticate(good)
        assert isinstance(identity, Identity)
        assert isinstance(identity.subject, str)
        assert identity.subject
        assert identity.headers == (), "they are the gateway's to make"
        json.dumps(dict(identity.claims))

    async def test_it_says_the_same_of_everybody_who_asks_at_once(
        self, authenticator: Authenticator, good: Request
    ) -> None:
        first, *others = await asyncio.gather(*(authenticator.authenticate(good) for _ in range(20)))
        assert first is not None
        assert all(other == first for other in others)
        assert await authenticator.authenticate(good) == first

    async def test_upgrades_are_known_as_requests_are(self, authenticator: Authenticator, good: Request) -> None:
        identity = await authenticator.authenticate(good)
        assert await authenticator.authenticate(replace(good, kind="websocket")) == identity

    async def test_bad_credentials_are_refused_in_words_that_give_nothing_away(
        self, authenticator: Authenticator, bad: Request, secrets: list[bytes]
    ) -> None:
        for _ in range(2):
            with pytest.raises(ClientError) as refused:
                await authenticator.authenticate(bad)
            assert refused.value.status in (401, 403)
            told = refused.value.detail.encode() + b"".join(value for _, value in refused.value.headers)
            assert not any(secret in told for secret in secrets)

    async def test_the_bad_do_not_spoil_the_good(
        self, authenticator: Authenticator, good: Request, bad: Request
    ) -> None:
        for _ in range(2):
            with pytest.raises(ClientError):
                await authenticator.authenticate(bad)
            assert await authenticator.authenticate(good) is not None

    @pytest.mark.parametrize("junk", _JUNK, ids=range(len(_JUNK)))
    async def test_junk_is_nobody(self, authenticator: Authenticator, bad: Request, junk: bytes) -> None:
        for index, (name, value) in enumerate(bad.headers):
            for text in (junk, value + junk, value[: len(value) // 2] + junk):
                headers = (*bad.headers[:index], (name, text), *bad.headers[index + 1 :])
                with suppress(TidegateError):
                    assert await authenticator.authenticate(replace(bad, headers=headers)) is None

    async def test_it_may_be_cancelled_at_any_await(self, authenticator: Authenticator, good: Request) -> None:
        for turns in range(10):
            task = asyncio.get_running_loop().create_task(_ask(authenticator, good))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert await authenticator.authenticate(good) is not None

    async def test_no_secret_is_logged_or_shown(
        self,
        authenticator: Authenticator,
        good: Request,
        bad: Request,
        secrets: list[bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        identity = await authenticator.authenticate(good)
        with pytest.raises(ClientError):
            await authenticator.authenticate(bad)
        for shown in (caplog.text, repr(authenticator), repr(identity)):
            assert not any(secret in shown.encode() for secret in secrets)


async def _ask(authenticator: Authenticator, request: Request) -> Identity | None:
    return await authenticator.authenticate(request)
