from __future__ import annotations

import pytest

from gateway.core.codes import FORBIDDEN, INTERNAL, NO_CHANNEL, RESTART, TOO_MANY, TOO_SLOW, UNAUTHENTICATED, Disconnect
from gateway.live.refusal import ended, refused_by_backend
from gateway.plugin import Refused


@pytest.mark.parametrize(("status", "answered"), [(401, 401), (403, 403), (404, 404), (410, 410), (418, 404)])
def test_the_backends_refusal_is_passed_on(status: int, answered: int) -> None:
    error = refused_by_backend(Refused(status, [(b"www-authenticate", b"Basic")]))
    assert (error.status, error.code, error.headers) == (
        answered,
        "upstream_refused",
        ((b"www-authenticate", b"Basic"),),
    )


@pytest.mark.parametrize(
    ("end", "status", "again"),
    [
        (RESTART, 503, True),
        (UNAUTHENTICATED, 401, False),
        (FORBIDDEN, 403, False),
        (NO_CHANNEL, 404, False),
        (TOO_SLOW, 503, True),
        (TOO_MANY, 429, True),
        (INTERNAL, 500, True),
        (Disconnect(4409, "credentials expired", "expired", False), 401, False),
    ],
)
def test_a_close_code_has_its_status_and_says_whether_to_come_back(end: Disconnect, status: int, again: bool) -> None:
    error = ended(end)
    assert (error.status, error.code, error.detail) == (status, end.label, end.reason)
    assert bool(error.headers) is again
