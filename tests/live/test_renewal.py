from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.http import IDENTITY, Handshake
from gateway.core.identity import Identity
from gateway.core.settings import Route
from gateway.core.shares import Owner
from gateway.errors import ClientError
from gateway.live.following import Caller
from gateway.live.renewal import renewed
from gateway.plugin import Request
from tests.live.talk import LIVE

OLD = Identity(subject="ada", claims={"tenant": "a"}, expires=10.0)
NEW = Identity(subject="ada", claims={"tenant": "b"}, expires=20.0)
HEADERS = ((b"host", b"shop"), (b"authorization", b"Bearer old"), (b"cookie", b"c=d"))
REQUEST = Request(kind="websocket", method="GET", target=b"/live", headers=HEADERS, params={"p": "1"}, options={})
CALLER = Caller(
    route=LIVE,
    identity=OLD,
    owner=Owner("ada"),
    scope={"type": "http", IDENTITY: OLD},
    host=b"shop",
    headers=list(HEADERS),
    handshake=Handshake("people", REQUEST),
)
RENEWED = [(b"host", b"shop"), (b"cookie", b"c=d"), (b"authorization", b"Bearer new")]


def gate(says: tuple[str, Identity] | Exception, seen: list[Request]) -> object:
    async def known(route: Route, request: Request) -> tuple[str, Identity]:
        assert route is LIVE
        seen.append(request)
        if isinstance(says, Exception):
            raise says
        return says

    return known


async def test_the_same_client_goes_on_with_the_new_token_everywhere() -> None:
    seen: list[Request] = []
    caller = await renewed(CALLER, "new", gate(("people", NEW), seen))  # type: ignore[arg-type]  # a gate
    assert seen == [replace(REQUEST, headers=tuple(RENEWED))]
    assert (caller.identity, caller.scope[IDENTITY], caller.headers) == (NEW, NEW, RENEWED)
    assert caller.handshake == Handshake("people", seen[0])
    assert (CALLER.scope[IDENTITY], CALLER.headers) == (OLD, list(HEADERS)), "requests under way keep what they have"
    again = await renewed(caller, "newer", gate(("people", NEW), seen))  # type: ignore[arg-type]
    assert [value for name, value in again.headers if name == b"authorization"] == [b"Bearer newer"]


@pytest.mark.parametrize(
    ("says", "status", "code"),
    [
        (("people", Identity(subject="eve")), 403, "other_subject"),
        (("partners", NEW), 403, "other_subject"),
        (ClientError(401, "bad_token", "the signature of key 7"), 401, "unauthenticated"),
        (ClientError(403, "bad_claim", "the claim x"), 403, "forbidden"),
        (ClientError(503, "auth_unavailable", "later"), 503, "auth_unavailable"),
    ],
)
async def test_nobody_else_does_and_nothing_more_is_told(
    says: tuple[str, Identity] | Exception, status: int, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        await renewed(CALLER, "new", gate(says, []))  # type: ignore[arg-type]
    assert (refused.value.status, refused.value.code) == (status, code)
    assert not {"key", "claim", "eve"} & set(refused.value.detail.split())


async def test_what_can_be_no_token_is_shown_to_nobody() -> None:
    seen: list[Request] = []
    with pytest.raises(ClientError) as refused:
        await renewed(CALLER, "a\r\nX-User: root", gate(("people", NEW), seen))  # type: ignore[arg-type]
    assert (refused.value.code, seen) == ("bad_token", [])
