"""`tidegate probe`: looks at an API for a while, and proposes the configuration to watch it with."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from gateway.core.asgi import Headers
from gateway.core.event import Json
from gateway.core.http import Answer, header
from gateway.core.probe import Look, proposal, study
from gateway.core.settings import UpstreamSettings
from gateway.plugin import Clock, Upstream

MOST = 16 * 1024 * 1024  # bytes of an answer; who has more wants pages

# Often enough to see a change rate in a minute, rare enough for any API: 12 requests.
PAUSE = 5.0


def upstream_settings(url: str) -> UpstreamSettings:
    """The backend of a URL; raises ValueError when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("expected a URL such as http://127.0.0.1:9000/api/shirts, without a user")
    return UpstreamSettings(
        name="api",
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 80),
    )


async def probe(
    url: str, headers: Headers, upstream: Upstream, clock: Clock, seconds: float, say: Callable[[str], None]
) -> str:
    """The proposed YAML; `say` is told of each look. Raises UpstreamError, or ValueError when there is no answer."""
    parts = urlsplit(url)
    path = parts.path or "/"
    target = (f"{path}?{parts.query}" if parts.query else path).encode()
    looks: list[Look] = []
    began = clock.monotonic()
    while True:
        at = clock.monotonic() - began
        conditions = _conditions(looks)
        answer = await upstream.fetch("GET", target, [*headers, *conditions], max_body=MOST)
        if not looks and answer.status != 200:
            raise ValueError(f"the API answered {answer.status}; give what it wants with --header")
        say(f"{at:3.0f} s: {answer.status}, {len(answer.body)} bytes{', conditional' if conditions else ''}")
        looks.append(Look(answer=answer, at=at, conditional=bool(conditions), document=_document(answer)))
        if at + PAUSE > seconds:
            break
        await clock.sleep(PAUSE)
    base = f"{parts.scheme}://{parts.netloc}"
    return proposal(base, unquote(path), study(looks), parts.query)


def _conditions(looks: list[Look]) -> Headers:
    """The last whole answer's validators: whether they are honoured is one of the questions."""
    whole = next((look.answer for look in reversed(looks) if look.answer.status == 200), None)
    if whole is None:
        return []
    pairs = ((b"if-none-match", b"etag"), (b"if-modified-since", b"last-modified"))
    found = [(name, header(whole.headers, validator)) for name, validator in pairs]
    return [(name, value) for name, value in found if value is not None]


def _document(answer: Answer) -> Json:
    if answer.status != 200:
        return None
    try:
        document: Json = json.loads(answer.body)
    except ValueError:
        raise ValueError("the answer is not JSON") from None
    return document
