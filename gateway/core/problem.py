"""Errors as clients read them: RFC 9457 `application/problem+json`.

The detail is a sentence for the client: never what went wrong inside, never what a client sent unquoted.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from gateway.core.asgi import Header, Headers

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_CLASSES = {4: "Client Error", 5: "Server Error"}


def problem(status: int, code: str, detail: str, extra: tuple[Header, ...] = ()) -> tuple[Headers, bytes]:
    """Headers and body of an answer that the gateway itself makes; `extra` headers come last."""
    title = _PHRASES.get(status) or _CLASSES.get(status // 100, "Error")
    body = json.dumps({"title": title, "status": status, "code": code, "detail": detail})
    data = body.encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    return headers, data
