from __future__ import annotations

import pytest

from gateway.core.credentials import MAX_TOKEN
from gateway.core.tickets import LASTS, MOST_BYTES, MOST_OF_ADDRESS, Tickets, without_ticket
from gateway.errors import ClientError

BEARER = b"Bearer t"


def test_it_counts_once() -> None:
    tickets = Tickets()
    tickets.issue("a", BEARER, "::1", 0.0)
    assert tickets.use("a", 1.0) == BEARER
    with pytest.raises(ClientError, match="was used"):
        tickets.use("a", 1.0)


def test_it_counts_for_a_while() -> None:
    tickets = Tickets()
    tickets.issue("a", BEARER, "::1", 0.0)
    tickets.issue("b", b"Bearer u", "::1", 1.0)
    with pytest.raises(ClientError) as caught:
        tickets.use("a", LASTS)
    assert (caught.value.status, caught.value.close_code) == (401, 4401)
    assert tickets.use("b", LASTS) == b"Bearer u"
    assert repr(tickets) == "<Tickets 0 bytes=0>"


def test_an_address_has_so_many_at_once() -> None:
    tickets = Tickets()
    for number in range(MOST_OF_ADDRESS):
        tickets.issue(f"a{number}", BEARER, "::1", 0.0)
    with pytest.raises(ClientError) as caught:
        tickets.issue("a", BEARER, "::1", 0.0)
    assert (caught.value.status, caught.value.headers) == (429, ((b"retry-after", b"30"),))
    tickets.issue("b", BEARER, "::2", 0.0)
    tickets.use("a7", 0.0)
    tickets.issue("a", BEARER, "::1", 0.0)
    tickets.issue("c", BEARER, "::1", LASTS)
    assert len(tickets) == 1, "the others are too old"


def test_all_have_so_many_bytes() -> None:
    tickets = Tickets()
    for number in range(MOST_BYTES // MAX_TOKEN):
        tickets.issue(str(number), b"x" * MAX_TOKEN, str(number), 0.0)
    with pytest.raises(ClientError) as caught:
        tickets.issue("a", b"x", "::1", 0.0)
    assert caught.value.status == 503
    with pytest.raises(ClientError, match="too long"):
        tickets.issue("a", b"x" * (MAX_TOKEN + 1), "::1", LASTS)


def test_no_credentials_are_shown() -> None:
    tickets = Tickets()
    tickets.issue("a", b"Bearer SECRET", "::1", 0.0)
    assert "SECRET" not in repr(tickets) + repr(tickets._tickets)


@pytest.mark.parametrize(
    ("query", "rest", "ticket"),
    [
        (b"live.ticket=a", b"", "a"),
        (b"a=b&live.ticket=a&c", b"a=b&c", "a"),
        (b"xlive.ticket=a", b"xlive.ticket=a", None),
    ],
)
def test_it_is_taken_out_of_the_query(query: bytes, rest: bytes, ticket: str | None) -> None:
    assert without_ticket(query) == (rest, ticket)


def test_there_is_one_at_a_time() -> None:
    with pytest.raises(ClientError, match="more than one"):
        without_ticket(b"live.ticket=a&live.ticket=b")
