"""Asking the API who a client is: what is asked, what the answers mean, what is remembered, and who waits."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import ValidationError

from gateway.errors import UpstreamTimeout
from gateway.plugin import Answer, Authenticator, ClientError, Headers, Identity, Json, Request, UpstreamError
from gateway.testing.authenticator import AuthenticatorContract, asking
from gateway.testing.clock import ManualClock
from gateway_plugins.authenticators.forward import ForwardOptions, plugin
from tests.plugins.authenticators.issuer import START, Upstream, context

ADA = (b"authorization", b"Bearer ada-token")


def says(status: int, claims: Json = None, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status=status, headers=headers, body=b"" if claims is None else json.dumps(claims).encode())


def api(headers: Headers) -> Answer:
    """An API that knows ada alone."""
    return says(200, {"sub": "ada", "role": "staff"}) if (ADA in headers) else says(401)


def made(upstream: Upstream, clock: ManualClock | None = None, **options: object) -> Authenticator:
    given = ForwardOptions.model_validate({"upstream": "shop", "path": "/api/me", **options})
    return plugin.make(given, context(clock or ManualClock(), upstream))


class TestContract(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return made(Upstream([api]))

    @pytest.fixture
    def good(self) -> Request:
        return asking(ADA)

    @pytest.fixture
    def bad(self) -> Request:
        return asking((b"authorization", b"Bearer eve-token"))

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [b"ada-token", b"eve-token"]


async def test_the_question_carries_the_credentials_and_nothing_else() -> None:
    upstream = Upstream([says(200, {"sub": "ada"})])
    request = asking(
        (b"Host", b"x"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", b"k"),
        (b"Content-Length", b"5"),
        (b"Cookie", b"a=1"),
        (b"X-Forwarded-For", b"6.6.6.6"),
        ADA,
        (b"cookie", b"b=2"),
    )
    await made(upstream).authenticate(request)
    assert upstream.asked == [
        ("GET", b"/api/me", [ADA, (b"cookie", b"a=1; b=2"), (b"accept", b"application/json")]),
    ]


async def test_other_credentials_than_the_named_are_none() -> None:
    upstream = Upstream([says(200, {"sub": "ada"})])
    authenticator = made(upstream, credentials="X-Session")
    assert await authenticator.authenticate(asking(ADA)) is None
    assert await authenticator.authenticate(asking((b"x-session", b"1"))) is not None
    assert upstream.asked[0][2][0] == (b"x-session", b"1")


@pytest.mark.parametrize(
    ("answer", "status", "headers"),
    [
        (says(401, None, (b"WWW-Authenticate", b"Basic")), 401, ((b"WWW-Authenticate", b"Basic"),)),
        (says(302, None, (b"location", b"/login")), 401, ()),
        (says(403, {"sub": "ada"}), 403, ()),
    ],
)
async def test_refusals(answer: Answer, status: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(ClientError) as refused:
        await made(Upstream([answer])).authenticate(asking(ADA))
    assert (refused.value.status, refused.value.headers) == (status, headers)


@pytest.mark.parametrize(
    "answer",
    [
        says(404),
        says(500, {"sub": "ada"}),
        says(200),
        says(200, []),
        says(200, {"sub": ""}),
        says(200, {"sub": True}),
        says(200, {"sub": {"id": 1}}),
        says(204),
        Answer(status=200, headers=(), body=b'{"sub": '),
        Answer(status=200, headers=(), body=b"[" * 60_000),
        Answer(status=200, headers=(), body=b" " * 70_000),
        UpstreamTimeout("no answer"),
    ],
)
async def test_what_is_no_clear_word_lets_nobody_in(answer: Answer | UpstreamError) -> None:
    upstream = Upstream([answer])
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await made(upstream).authenticate(asking(ADA))
    assert len(upstream.asked) == 2, "it is asked again"


async def test_no_answer_in_time() -> None:
    authenticator = made(Upstream([says(200)], hold=asyncio.Event()), timeout="1ms")
    with pytest.raises(UpstreamError, match="did not say in time"):
        await authenticator.authenticate(asking(ADA))


async def test_claims_come_from_the_answer_and_its_headers() -> None:
    answer = says(200, {"id": 7, "tenant": "forged", "exp": START + 9}, (b"X-Tenant", b"t1"), (b"x-tenant", b"t2"))
    authenticator = made(Upstream([answer]), subject="id", claims={"tenant": "X-Tenant", "plan": "X-Plan"})
    identity = await authenticator.authenticate(asking(ADA))
    assert identity == Identity(
        subject="7", claims={"id": 7, "tenant": "t1", "exp": START + 9}, expires=float(START + 9)
    )


async def test_answers_are_remembered_for_a_while_refusals_for_less() -> None:
    clock, upstream = ManualClock(), Upstream([api])
    authenticator = made(upstream, clock)
    eve = asking((b"authorization", b"Bearer eve-token"))
    for _ in range(3):
        assert await authenticator.authenticate(asking(ADA))
        with pytest.raises(ClientError):
            await authenticator.authenticate(eve)
    assert len(upstream.asked) == 2
    clock.advance(2)
    await authenticator.authenticate(asking(ADA))
    with pytest.raises(ClientError):
        await authenticator.authenticate(eve)
    assert len(upstream.asked) == 3
    clock.advance(28)
    await authenticator.authenticate(asking(ADA))
    assert len(upstream.asked) == 4


async def test_no_answer_outlives_what_it_says() -> None:
    clock, upstream = ManualClock(), Upstream([says(200, {"sub": "ada", "exp": START + 5})])
    authenticator = made(upstream, clock)
    for pause, asked in ((0, 1), (4, 1), (1.5, 2)):
        clock.advance(pause)
        await authenticator.authenticate(asking(ADA))
        assert len(upstream.asked) == asked


async def test_different_credentials_are_asked_about_apart() -> None:
    upstream = Upstream([says(200, {"sub": "a"}), says(200, {"sub": "b"})])
    authenticator = made(upstream)
    first = await authenticator.authenticate(asking((b"cookie", b"s=1")))
    second = await authenticator.authenticate(asking((b"authorization", b"s=1")))
    assert first != second


async def test_one_question_for_all_who_ask_the_same_at_once() -> None:
    upstream = Upstream([says(200, {"sub": "ada"})], hold=asyncio.Event())
    authenticator = made(upstream)
    loop = asyncio.get_running_loop()

    async def ask() -> Identity | None:
        return await authenticator.authenticate(asking(ADA))

    first, *others = [loop.create_task(ask()) for _ in range(20)]
    for _ in range(3):
        await asyncio.sleep(0)
    first.cancel()
    assert upstream.hold is not None
    upstream.hold.set()
    assert all(await asyncio.gather(*others))
    assert len(upstream.asked) == 2, "the one that left, and one in its place"


async def test_a_refusal_is_told_to_each_by_itself() -> None:
    authenticator = made(Upstream([says(401)]))
    errors = []
    for _ in range(2):
        with pytest.raises(ClientError) as refused:
            await authenticator.authenticate(asking(ADA))
        errors.append(refused.value.with_headers((b"www-authenticate", b"x")))
    assert errors[0] is not errors[1]


@pytest.mark.parametrize(
    "options",
    [
        {"path": "api/me"},
        {"path": "/api/m e"},
        {"path": "/a#b"},
        {"credentials": []},
        {"credentials": ["Upgrade"]},
        {"credentials": ["Sec-WebSocket-Key"]},
        {"credentials": ["Cookie", "cookie"]},
        {"claims": {"a": "Not A Header"}},
        {"upstream": ""},
    ],
)
def test_mistakes(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ForwardOptions.model_validate({"upstream": "shop", "path": "/api/me", **options})
