"""Errors as clients read them: RFC 9457 `application/problem+json`.

The detail is a sentence for the client: never what went wrong inside, never what a client sent unquoted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from gateway.core.asgi import Header, Headers
from gateway.core.event import Json

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
NOTHING_MORE: Mapping[str, Json] = MappingProxyType({})
_CLASSES = {4: "Client Error", 5: "Server Error"}


def problem(
    status: int, code: str, detail: str, extra: tuple[Header, ...] = (), *, more: Mapping[str, Json] = NOTHING_MORE
) -> tuple[Headers, bytes]:
    """Headers and body of an answer that the gateway itself makes; `extra` headers come last, as do `more` members."""
    title = _PHRASES.get(status) or _CLASSES.get(status // 100, "Error")
    body = json.dumps({"title": title, "status": status, "code": code, "detail": detail, **more})
    data = body.encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    return headers, data
