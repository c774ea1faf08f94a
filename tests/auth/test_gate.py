"""Who is let in, by scripted authenticators; and that nobody is by accident."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gateway.auth.gate import Gate, gates
from gateway.core.route import parse_template
from gateway.core.settings import AuthSettings, PluginUse, Route
from gateway.core.stats import Stats
from gateway.errors import ClientError, UpstreamTimeout
from gateway.plugin import Identity, Request

ADA = Identity(subject="ada")
REQUEST = Request(kind="http", method="GET", target=b"/", headers=(), params={}, options={})


class Scripted:
    """Says what it is told to."""

    def __init__(self, says: Identity | Exception | None, challenge: bytes = b"Scripted") -> None:
        self.says = says
        self.challenge = challenge
        self.asked = 0

    async def authenticate(self, request: Request) -> Identity | None:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def gate(
    stats: Stats,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    access: str | None = None,
    **authenticators: Scripted,
) -> Gate:
    route = Route(name="r", path=parse_template("/"), upstream="u", auth=tuple(authenticators), access=access)
    settings = {
        name: AuthSettings(plugin=PluginUse(name="x", options=None), headers=headers) for name in authenticators
    }
    return gates((route,), settings, authenticators, stats)["r"]


async def refusal(made: Gate) -> ClientError:
    with pytest.raises(ClientError) as refused:
        await made.admit(REQUEST)
    return refused.value


async def test_the_first_that_knows_the_client_decides() -> None:
    stats, later = Stats(), Scripted(Identity(subject="other"))
    assert await gate(stats, none=Scripted(None), ada=Scripted(ADA), later=later).admit(REQUEST) is ADA
    assert later.asked == 0
    assert await gate(Stats(), none=Scripted(None), ada=Scripted(ADA)).known(REQUEST) == ("ada", ADA)
    assert {name: dict(counts) for name, counts in stats.auth.items() if counts} == {
        "none": {"absent": 1},
        "ada": {"accepted": 1},
    }


async def test_without_credentials_every_challenge_is_told_once() -> None:
    made = gate(Stats(), a=Scripted(None, b"Bearer"), b=Scripted(None, b"Bearer"), c=Scripted(None, b"Basic"))
    error = await refusal(made)
    assert (error.status, error.code, error.close_code) == (401, "unauthenticated", 4401)
    assert error.headers == ((b"www-authenticate", b"Bearer"), (b"www-authenticate", b"Basic"))


async def test_refused_credentials_may_be_anothers() -> None:
    stats = Stats()
    wrong = ClientError(401, "bad_token", "wrong issuer")
    assert await gate(stats, a=Scripted(wrong), b=Scripted(ADA)).admit(REQUEST) is ADA
    assert stats.auth["a"]["refused"] == 1


async def test_the_first_refusal_is_told_with_its_own_challenge_or_with_all() -> None:
    own = ClientError(401, "bad_token", "x").with_headers((b"www-authenticate", b'Bearer error="invalid_token"'))
    error = await refusal(gate(Stats(), a=Scripted(own), b=Scripted(None), c=Scripted(ClientError(401, "late", "y"))))
    assert error is own
    assert error.headers == ((b"www-authenticate", b'Bearer error="invalid_token"'),)
    error = await refusal(gate(Stats(), a=Scripted(ClientError(401, "bad_token", "x"), b"Key"), b=Scripted(None)))
    assert error.headers == ((b"www-authenticate", b"Key"), (b"www-authenticate", b"Scripted"))


async def test_a_client_that_is_not_wanted_is_asked_about_nowhere_else() -> None:
    later = Scripted(ADA)
    error = await refusal(gate(Stats(), a=Scripted(ClientError(403, "forbidden", "no")), b=later))
    assert (error.status, later.asked) == (403, 0)


@pytest.mark.parametrize("failure", [UpstreamTimeout("the issuer did not answer"), ZeroDivisionError("s3cret")])
async def test_nobody_is_let_in_when_it_cannot_be_told(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stats = Stats()
    error = await refusal(gate(stats, a=Scripted(failure), b=Scripted(None)))
    assert (error.status, error.code) == (503, "auth_unavailable")
    assert error.headers == ((b"retry-after", b"5"),)
    assert "s3cret" not in error.detail
    assert stats.auth["a"]["error"] == 1
    assert "authenticator a" in caplog.text


async def test_another_authenticator_may_know_the_client_meanwhile() -> None:
    assert await gate(Stats(), a=Scripted(UpstreamTimeout("down")), b=Scripted(ADA)).admit(REQUEST) is ADA


def test_routes_without_auth_have_no_gate() -> None:
    assert gates((Route(name="r", path=parse_template("/"), upstream="u"),), {}, {}, Stats()) == {}


async def test_headers_are_made_of_the_claims() -> None:
    bob = Identity(subject="bob", claims={"sub": "bob", "tenant": None, "roles": ["a", "b"]})
    headers = (("X-User", "${claims.sub}"), ("X-Tenant", "${claims.tenant}"), ("X-Roles", "${claims.roles}"))
    identity = await gate(Stats(), headers=headers, a=Scripted(bob)).admit(REQUEST)
    assert identity.headers == ((b"X-User", b"bob"), (b"X-Roles", b'["a","b"]'))


@pytest.mark.parametrize("claim", ["a\r\nX-Admin: yes", "a\0", " root", "root ", "x\x7f"])
async def test_a_claim_that_would_be_another_header_lets_nobody_in(claim: str) -> None:
    eve = Identity(subject="eve", claims={"sub": claim})
    error = await refusal(gate(Stats(), headers=(("X-User", "${claims.sub}"),), a=Scripted(eve)))
    assert (error.status, error.code) == (403, "bad_claim")
    assert claim not in error.detail


@pytest.mark.parametrize(
    ("access", "granted"),
    [
        ("claims.role == 'staff'", True),
        ("claims.role == 'admin' || claims.sub == params.id", True),
        ("claims.sub == params.other", False),
        ("contains(claims.groups, 'g1')", True),
        ("contains(claims.nothing, 'g1')", False),
        ("claims.role", False),
        ("claims.groups", False),
        ("`1`", False),
        ("!claims.role", False),
    ],
)
async def test_access_is_a_plain_true(access: str, granted: bool) -> None:
    client = Identity(subject="u1", claims={"sub": "u1", "role": "staff", "groups": ["g1"]})
    made = gate(Stats(), access=access, a=Scripted(client))
    request = replace(REQUEST, params={"id": "u1", "other": "u2"})
    if granted:
        assert await made.admit(request) == client
    else:
        with pytest.raises(ClientError, match="no access") as refused:
            await made.admit(request)
        assert (refused.value.status, refused.value.close_code) == (403, 4403)
