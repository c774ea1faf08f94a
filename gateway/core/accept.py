"""What a client's Accept header says of one media type, Accept-Encoding of one coding (RFC 9110 section 12.5)."""

from __future__ import annotations

import re

from gateway.core.asgi import Headers
from gateway.core.http import Request

_WEIGHT = re.compile(rb"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def wish(request: Request, media: bytes) -> float:
    """How much the client wants exactly `media` (in lower case), from 0, not at all, to 1.

    Only a range that names it counts: everybody sends `*/*`. Nor does it where the client would rather have
    something else.
    """
    wanted = most = 0.0
    for name, value in request.headers:
        if name.lower() == b"accept" and (found := value.lower()):
            for part in found.split(b","):
                kind, _, parameters = part.partition(b";")
                weight = _weight(parameters)
                most = max(most, weight)
                if kind.strip() == media:
                    wanted = max(wanted, weight)
    return wanted if wanted == most else 0.0


def accepts_coding(headers: Headers, coding: bytes) -> bool:
    """Whether an answer may have this content coding (in lower case): only where it is named, as `*` names nothing."""
    for name, value in headers:
        if name.lower() == b"accept-encoding":
            for part in value.lower().split(b","):
                kind, _, parameters = part.partition(b";")
                if kind.strip() == coding:
                    return _weight(parameters) > 0
    return False


def _weight(parameters: bytes) -> float:
    """The `q` among the parameters of a range, 1 when there is none and 0 when it is no weight."""
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0
