from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest
from httplint import HttpRequestLinter, HttpResponseLinter, levels

from gateway.core.asgi import Headers
from gateway.core.problem import problem

# Notes that explain a status to whoever sent the request; the answer is right to say it.
ABOUT_THE_REQUEST = {"STATUS_BAD_REQUEST", "STATUS_URI_TOO_LONG"}


def faults(method: str, path: str, status: int, headers: Headers, body: bytes) -> list[str]:
    """What httplint finds wrong with an answer, given the Date that the server adds."""
    request = HttpRequestLinter()
    request.process_request_topline(method.encode(), f"http://admin.example{path}".encode(), b"HTTP/1.1")
    request.process_headers([(b"Host", b"admin.example"), (b"User-Agent", b"test"), (b"Accept", b"*/*")])
    request.finish_content(True)
    response = HttpResponseLinter(start_time=time.time())
    response.request = request
    response.is_head_response = method == "HEAD"
    response.process_response_topline(b"HTTP/1.1", str(status).encode(), b"")
    response.process_headers([*headers, (b"Date", formatdate(usegmt=True).encode())])
    response.feed_content(body)
    response.finish_content(True)
    return [
        str(note)
        for note in response.notes
        if note.level in (levels.BAD, levels.WARN) and type(note).__name__ not in ABOUT_THE_REQUEST
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/nothing"])
async def test_answers_of_the_admin_listener(client: httpx.AsyncClient, method: str, path: str, accept: str) -> None:
    answer = await client.request(method, path, headers={"accept": accept})
    assert faults(method, path, answer.status_code, answer.headers.raw, answer.content) == []


async def test_a_refused_method(client: httpx.AsyncClient) -> None:
    answer = await client.post("/metrics")
    assert faults("POST", "/metrics", 405, answer.headers.raw, answer.content) == []


@pytest.mark.parametrize(
    ("status", "code", "extra"),
    [
        (400, "bad_request", ()),
        (401, "unauthenticated", ((b"www-authenticate", b'Bearer realm="shop"'),)),
        (403, "forbidden", ()),
        (404, "no_route", ()),
        (405, "method_not_allowed", ((b"allow", b"GET, HEAD"),)),
        (413, "body_too_large", ()),
        (414, "target_too_long", ()),
        (421, "misdirected", ()),
        (426, "upgrade_required", ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))),
        (429, "too_many", ((b"retry-after", b"5"),)),
        (431, "header_too_large", ()),
        (500, "internal", ()),
        (502, "upstream_unavailable", ()),
        (503, "draining", ((b"retry-after", b"5"),)),
        (504, "upstream_timeout", ()),
    ],
)
def test_problems(status: int, code: str, extra: tuple[tuple[bytes, bytes], ...]) -> None:
    headers, body = problem(status, code, "why it is so, in one sentence", extra)
    assert faults("POST", "/api/shirts", status, headers, body) == []


def test_the_linter_does_find_faults() -> None:
    headers: Headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    assert any("Content-Length" in fault for fault in faults("GET", "/", 200, headers, b"four"))
