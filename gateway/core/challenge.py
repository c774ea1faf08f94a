"""What services ask before they send webhooks: whether this URL wants them. The question's own text is the answer.

    GET /hooks/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=...  ─►  1158201444

They may ask again at any time. The answer is nothing that a browser would take for a page.
"""

from __future__ import annotations

import json
from hmac import compare_digest
from urllib.parse import parse_qsl

from gateway.core.asgi import Headers
from gateway.core.settings import Challenge
from gateway.errors import ClientError

# Those of Microsoft Graph have some hundred characters, all others less.
_LONGEST = 2048
_MOST_PARAMETERS = 100


def echo(challenge: Challenge, query: bytes) -> str | None:
    """The question's text; None for what is no question. Raises ClientError 403 where it is not for us."""
    try:
        given = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return None
    found = dict(reversed(given))  # the first of each
    text = found.get(challenge.param)
    if not text or len(text) > _LONGEST:
        return None
    matching = [compare_digest(found.get(name, "").encode(), value.encode()) for name, value in challenge.where]
    if not all(matching):
        raise ClientError(403, "bad_challenge", "the question is not one that this URL expects")
    return text


def answered(challenge: Challenge, text: str) -> tuple[Headers, bytes]:
    """Headers and body of the answer."""
    kind = b"application/json" if challenge.answer == "json" else b"text/plain; charset=utf-8"
    body = (json.dumps({challenge.param: text}) if challenge.answer == "json" else text).encode("utf-8", "replace")
    return [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ], body
