"""What httplint says of an answer as it was on the wire."""

from __future__ import annotations

import time

from httplint import HttpRequestLinter, HttpResponseLinter, levels

from tests.integration.raw import Answer

# Notes that explain a status to whoever sent the request; the answer is right to say it.
ABOUT_THE_REQUEST = {"STATUS_BAD_REQUEST", "STATUS_URI_TOO_LONG", "STATUS_417_WITHOUT_EXPECT"}


def faults(answer: Answer, method: str = "GET", path: str = "/") -> list[str]:
    """The errors and warnings in the answer to a plain request."""
    request = HttpRequestLinter()
    request.process_request_topline(method.encode(), f"http://shop.example{path}".encode(), b"HTTP/1.1")
    request.process_headers([(b"Host", b"shop.example"), (b"User-Agent", b"test"), (b"Accept", b"*/*")])
    request.finish_content(True)
    response = HttpResponseLinter(start_time=time.time())
    response.request = request
    response.is_head_response = method == "HEAD"
    version, status, phrase = answer.line.split(b" ", 2)
    response.process_response_topline(version, status, phrase)
    response.process_headers(answer.headers)
    response.feed_content(answer.body)
    response.finish_content(True)
    return [
        str(note)
        for note in response.notes
        if note.level in (levels.BAD, levels.WARN) and type(note).__name__ not in ABOUT_THE_REQUEST
    ]
