"""New credentials for a session that goes on: judged as those of its handshake were, and only for the same client.

What a session follows and has under way belongs to whoever opened it, so nobody else can take it over. What is
refused changes nothing, and says no more than that it was refused: a session is no place to try tokens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from gateway.core.credentials import with_token
from gateway.core.http import IDENTITY, Handshake, Request
from gateway.core.identity import Identity
from gateway.core.settings import Route
from gateway.errors import ClientError
from gateway.live.following import Caller

Known: TypeAlias = Callable[[Route, Request], Awaitable[tuple[str, Identity]]]

_REFUSED = {
    401: ("unauthenticated", "the token does not hold; the session goes on until its own credentials end"),
    403: ("forbidden", "the token gives no access; the session goes on until its own credentials end"),
}


async def renewed(caller: Caller, token: str, known: Known) -> Caller:
    """The caller with this token instead of the one it had, everywhere; `known` is the gate. Raises ClientError."""
    before, identity = caller.handshake, caller.identity
    assert before is not None, "a session that can be renewed"
    assert identity is not None, "which is one that was let in"
    request = replace(before.request, headers=tuple(with_token(before.request.headers, token)))
    try:
        by, now = await known(caller.route, request)
    except ClientError as error:
        code, detail = _REFUSED.get(error.status, (error.code, error.detail))
        raise ClientError(error.status, code, detail) from None
    if (by, now.subject) != (before.by, identity.subject):
        raise ClientError(403, "other_subject", "the token is another client's: open a session of its own with it")
    return replace(
        caller,
        identity=now,
        scope={**caller.scope, IDENTITY: now},
        headers=with_token(caller.headers, token),
        handshake=Handshake(by, request),
    )
