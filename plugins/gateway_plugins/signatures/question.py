"""Zoom's question whether the URL is of somebody who knows the secret (https://developers.zoom.us/docs/api/webhooks/).

It is signed as deliveries are, and comes when the URL is saved and every 72 hours. Pure.
"""

from __future__ import annotations

from hmac import digest

from gateway.plugin import Json

_EVENT = "endpoint.url_validation"

# A token has some twenty characters; what is signed for a stranger is to be nothing else.
_LONGEST = 256


def zoom(body: Json, secret: bytes) -> Json:
    """The answer; None for what is no such question."""
    payload = body.get("payload") if isinstance(body, dict) and body.get("event") == _EVENT else None
    token = payload.get("plainToken") if isinstance(payload, dict) else None
    if not isinstance(token, str) or not 0 < len(token) <= _LONGEST:
        return None
    signed = digest(secret, token.encode("utf-8", "replace"), "sha256").hex()
    return {"plainToken": token, "encryptedToken": signed}
