"""How the shop answers: JSON with strong ETags, conditional requests (RFC 9110 section 13), errors.

An error is `{"error": {"code": ..., "message": ...}}`; a client's mistake is never a 500.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

BODY_LIMIT = 64 * 1024  # the largest form is under 1 KB

_TAG = re.compile(r'(W/)?("[^"]*")')

T = TypeVar("T")


class Refusal(Exception):
    """A request that the shop refuses."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


def refusal(error: Refusal) -> Response:
    body = msgspec.json.encode({"error": {"code": error.code, "message": str(error)}})
    return Response(body, error.status, error.headers, "application/json")


def etag(value: object) -> str:
    """The ETag of a value's JSON."""
    return _tag(msgspec.json.encode(value))


def show(request: Request, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON; 304 where the client has it already."""
    return whole(request, msgspec.json.encode(value), "application/json", status=status, headers=headers)


def whole(
    request: Request,
    body: bytes,
    media_type: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A body with its ETag; 304 where the client has it already. HEAD is answered without the body."""
    tag = _tag(body)
    everything = {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}
    reading = request.method in ("GET", "HEAD")
    if reading and _listed(request.headers.get("if-none-match", ""), tag, weak=True):
        return Response(None, 304, everything)
    if request.method == "HEAD":
        everything["Content-Length"] = str(len(body))
        body = b""
    return Response(body, status, everything, media_type)


def require_match(request: Request, current: object) -> None:
    """Refuse a write whose If-Match no longer fits what is stored."""
    condition = request.headers.get("if-match")
    if condition is not None and not _listed(condition, etag(current), weak=False):
        raise Refusal(412, "changed", "it has changed since you read it", {"ETag": etag(current)})


async def read_form(request: Request, form: type[T]) -> T:
    """Decode a JSON body, or refuse it: 415, 413, 400."""
    media_type = content_type(request)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Refusal(415, "not_json", "send the body as application/json")
    try:
        return msgspec.json.decode(await read_body(request), type=form)
    except ValueError as error:
        raise Refusal(400, "bad_body", str(error)) from error


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise Refusal(413, "too_large", f"a body may have {BODY_LIMIT} bytes")
    return bytes(body)


def path_id(request: Request) -> int:
    """The number at the end of the path; 404 for anything that cannot be one."""
    text: str = request.path_params["id"]
    if not re.fullmatch(r"[1-9][0-9]{0,15}", text, re.ASCII):
        raise not_found()
    return int(text)


def not_found() -> Refusal:
    return Refusal(404, "not_found", "there is nothing here")


def _tag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def _listed(condition: str, tag: str, *, weak: bool) -> bool:
    if condition.strip() == "*":
        return True
    return any(quoted == tag and (weak or not weakness) for weakness, quoted in _TAG.findall(condition))
