"""What a backend's answer to a poll means: a document, a failure, or the end.

Pure: it reads one answer and knows nothing of time, of tasks, or of the polls before. The reasons it gives are
shown to clients, so they hold nothing of the answer but its status.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from math import inf
from typing import NamedTuple

from gateway.plugin import Answer, Headers, Json, Refused
from gateway_plugins.sources.poll_formats import Format
from gateway_plugins.sources.poll_hints import USUAL, Rates, retry_after

_BOM = b"\xef\xbb\xbf"

# Real validators have some tens of bytes; one that is longer is not worth sending with every poll.
_LONGEST_VALIDATOR = 1024

# Seconds: one for the resolution of the dates, one because the two may be of different clocks.
_SETTLED = 2.0

# No text of some size shrinks like this when it is compressed: lists of like objects come to a twentieth or a fiftieth.
_RATIO, _SMALL = 200, 1024 * 1024

_UNFIT = "the backend's answer is not usable: "


class Failed(Exception):
    """A poll that brought no state. `retry_after` is what the backend asks for, in seconds.

    `code` is `upstream_answer` for one that is not usable, `upstream_status` for one whose status says so itself,
    `upstream_credentials` where there are none to ask with, else that of the UpstreamError.
    """

    def __init__(
        self, reason: str, status: int | None = None, wait: float | None = None, *, code: str = "upstream_answer"
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = status
        self.retry_after = wait

    @property
    def is_budget(self) -> bool:
        """Whether the backend has been asked too often."""
        return self.status == 429 or (self.status == 403 and self.retry_after is not None)

    @property
    def is_refusal(self) -> bool:
        """Whether the backend says that the request itself was wrong."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 408 and not self.is_budget


class Validators(NamedTuple):
    """What the backend says this state is to be known by: ETag and Last-Modified exactly as they came."""

    etag: bytes | None = None
    modified: bytes | None = None

    @property
    def strongest(self) -> bytes | None:
        """What decides whether the state is the same: If-None-Match goes before (RFC 9110 section 13.2.2)."""
        return self.etag or self.modified

    def conditions(self) -> Headers:
        """The headers that ask for the state only if it is another by now."""
        headers: Headers = []
        if self.etag is not None:
            headers.append((b"if-none-match", self.etag))
        if self.modified is not None:
            headers.append((b"if-modified-since", self.modified))
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A good answer. `fresh` is false when the body is the one before, which was not parsed again."""

    digest: bytes
    document: Json
    fresh: bool


def judge(
    answer: Answer,
    *,
    conditional: bool,
    has_state: bool,
    now: float,
    terminal: Collection[int] = (),
    rates: Rates = USUAL,
) -> bool:
    """Whether the answer brings a state: false for 304. Raises Failed, or Refused when asking again is no use.

    `terminal` are statuses that end what has a state, too.
    """
    status = answer.status
    if status in (200, 206):  # 206, which nobody asked for, is a part: it says nothing of what it lacks
        return True
    if status == 304 and conditional:
        return False
    wait = _wait(answer, now, rates)
    refused = status == 401 or (status == 403 and wait is None)
    if refused or status in terminal or (status in (404, 410) and not has_state):
        raise Refused(status, [header for header in answer.headers if header[0].lower() == b"www-authenticate"])
    raise Failed(_why(status), status, wait, code="upstream_status")


def _wait(answer: Answer, now: float, rates: Rates) -> float | None:
    """The pause that a failure asks for. GitHub says 403 where others say 429: with a pause it is about the rate."""
    if answer.status == 403:
        return retry_after(answer.headers, now, rates._replace(share=0.0, kept=0))
    return retry_after(answer.headers, now, rates) if answer.status in (429, 503) else None


def validators_of(headers: tuple[tuple[bytes, bytes], ...]) -> Validators:
    """The validators of an answer; the first of each, where it is of a sane length.

    A state that was modified just before the answer may be modified again within the same second, of which
    Last-Modified would tell nothing (RFC 9110 section 8.8.2.2): that is no validator.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if 0 < len(value) <= _LONGEST_VALIDATOR:
            found.setdefault(name.lower(), value)
    modified, date = found.get(b"last-modified"), found.get(b"date")
    if modified is not None and date is not None and _age(modified, date) < _SETTLED:
        modified = None
    return Validators(found.get(b"etag"), modified)


def _age(modified: bytes, date: bytes) -> float:
    """Seconds from the one date to the other; endless where one is no date."""
    try:
        times = [parsedate_to_datetime(text.decode("latin-1")).timestamp() for text in (date, modified)]
    except (ValueError, OverflowError, TypeError, IndexError):
        return inf
    return times[0] - times[1]


def is_heavy(answer: Answer, threshold: int) -> bool:
    """Whether reading it takes too long for an event loop."""
    return len(answer.body) > threshold or _encoding(answer) != b""


def read(answer: Answer, known: bytes | None, most: int, fmt: Format) -> Reading:
    """The document of a 200 answer, unless its body has the digest `known`. Raises Failed."""
    if not fmt.takes(_header(answer, b"content-type")):
        raise Failed(f"{_UNFIT}it is not {fmt.label}", answer.status)
    body = _plain(answer, most)
    digest = sha256(body).digest()
    if digest == known:
        return Reading(digest=digest, document=None, fresh=False)
    try:
        return Reading(digest=digest, document=fmt.decode(body.removeprefix(_BOM)), fresh=True)
    except ValueError as error:
        raise Failed(f"{_UNFIT}{error}", answer.status) from None


def _why(status: int) -> str:
    if status == 304:
        return "the backend answered 304 to a poll without conditions"
    if 300 <= status < 400:
        return f"the backend answered {status}: redirects are not followed"
    return f"the backend answered {status}"


def _header(answer: Answer, name: bytes) -> bytes:
    """The first value of a header, b"" when there is none."""
    return next((value for key, value in answer.headers if key.lower() == name), b"")


def _encoding(answer: Answer) -> bytes:
    """The body's content coding, b"" for none."""
    coding = _header(answer, b"content-encoding").strip().lower()
    return b"" if coding == b"identity" else coding


def _plain(answer: Answer, most: int) -> bytes:
    """The body without its coding, which was not asked for but may come all the same."""
    body, coding = answer.body, _encoding(answer)
    if not coding:
        return body
    if coding in (b"gzip", b"x-gzip"):
        return _inflate(body, zlib.MAX_WBITS | 16, most)
    if coding == b"deflate":
        # RFC 9110 section 8.4.1.2: the zlib format is right, bare deflate is what some send
        return _inflate(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS, most)
    raise Failed(_UNFIT + "its content coding was not asked for", answer.status)


def _inflate(body: bytes, window: int, most: int) -> bytes:
    inflater, believed = zlib.decompressobj(window), max(len(body) * _RATIO, _SMALL)
    try:
        plain = inflater.decompress(body, min(most, believed) + 1)
    except zlib.error:
        raise Failed(_UNFIT + "it cannot be decompressed") from None
    if len(plain) > most:
        raise Failed(f"{_UNFIT}it has more than {most} bytes")
    if len(plain) > believed:
        raise Failed(f"{_UNFIT}it is compressed to less than a part in {_RATIO}")
    if not inflater.eof or inflater.unused_data:
        raise Failed(_UNFIT + "its compressed body is cut off or goes on after its end")
    return plain
