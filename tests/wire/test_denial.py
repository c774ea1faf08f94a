from __future__ import annotations

from gateway.wire.denial import Denial

DATE = b"date: now\r\n"


def test_a_response_in_pieces() -> None:
    denial = Denial({"status": 401, "headers": [(b"WWW-Authenticate", b"Bearer")]})
    assert not denial.add({"body": b"log ", "more_body": True})
    assert denial.add({"body": b"in"})
    assert denial.response(DATE) == (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\ndate: now\r\ncontent-length: 6\r\n"
        b"connection: close\r\n\r\nlog in"
    )


def test_the_applications_own_length_and_date_stay() -> None:
    denial = Denial({"status": 404, "headers": [(b"Content-Length", b"0"), (b"Date", b"then")]})
    assert denial.add({})
    assert denial.response(DATE) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: then\r\nconnection: close\r\n\r\n"
    )
