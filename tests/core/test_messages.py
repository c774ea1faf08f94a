from __future__ import annotations

import msgspec

from gateway.core.messages import Auth, Error, Expiring, Fault, Hello, Ok, Response


def test_answers_read_as_the_protocol_says() -> None:
    said = [
        Hello(session="s", subject=None, expires=None, heartbeat=25.0),
        Ok(1, position="e.3"),
        Ok("a"),
        Ok(3, expires=None),
        Expiring("2026-01-01T00:00:00+00:00"),
        Error(Fault("upstream_timeout", 504, "no answer"), id=2),
        Error(Fault("forbidden", 403, "no"), channel="/api/x"),
        Response(2, 201, msgspec.Raw(b'{"a":"b"}'), msgspec.Raw(b'{"sku":7}')),
    ]
    assert [msgspec.json.decode(msgspec.json.encode(message)) for message in said] == [
        {"op": "hello", "session": "s", "subject": None, "expires": None, "heartbeat": 25.0},
        {"op": "ok", "id": 1, "position": "e.3"},
        {"op": "ok", "id": "a"},
        {"op": "ok", "id": 3, "expires": None},
        {"op": "expiring", "expires": "2026-01-01T00:00:00+00:00"},
        {"op": "error", "id": 2, "error": {"code": "upstream_timeout", "status": 504, "message": "no answer"}},
        {"op": "error", "channel": "/api/x", "error": {"code": "forbidden", "status": 403, "message": "no"}},
        {"op": "response", "id": 2, "status": 201, "headers": {"a": "b"}, "body": {"sku": 7}},
    ]


def test_a_token_is_shown_nowhere() -> None:
    assert repr(Auth(1, "secret")) == "Auth(id=1)"
