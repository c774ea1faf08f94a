"""Errors as clients read them: RFC 9457 `application/problem+json`."""

from __future__ import annotations

import json
from http import HTTPStatus

from gateway.core.asgi import Header, Headers


def problem(status: int, code: str, detail: str, extra: tuple[Header, ...] = ()) -> tuple[Headers, bytes]:
    """Headers and body of an answer that the gateway itself makes; `extra` headers come last."""
    body = json.dumps({"title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail})
    data = body.encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    return headers, data
