"""What an answer's headers say about asking again: Retry-After, X-Poll-Interval, rate limits, max-age; and privacy.

Pure; all results are in seconds from now. Whatever makes no sense is as if it were not there: these headers come
from a backend that may be broken, and bounds are the caller's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.plugin import Headers, parse_retry_after

_NUMBER = re.compile(rb"[0-9]{1,10}(?:\.[0-9]{1,6})?", re.ASCII)
_MAX_AGE = re.compile(rb"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,10})", re.ASCII | re.IGNORECASE)
_UNSHARED = re.compile(rb"(?:^|[,\s])(private|no-store)(?:$|[,;=\s])", re.IGNORECASE)
_PARAMETER = re.compile(rb";\s*(r|t)\s*=\s*([0-9]{1,10})", re.ASCII)

# Above this, a reset is a time in seconds since 1970 (GitHub), below it seconds from now (the IETF draft):
# nobody's window is thirty years long, and none of these clocks is in 2001. Above the second it is in milliseconds:
# in seconds that would be the year 5138.
_EPOCH, _EPOCH_MS = 1e9, 1e11

# A reset that is a number, perhaps with a comment (30;w=60), and one with units, as Go writes durations: 6m0s, 17ms.
_TIME = re.compile(r"([0-9]{1,14}(?:\.[0-9]{1,9})?)(?:[;,\s].*)?", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){unit})?" for unit in _UNITS))

# With less than this part of the budget left, polls are spread over what is left of the window
# (`early_limit: 0.9` in Filebeat).
_EARLY = 0.1

_WANTED = frozenset([b"cache-control", b"retry-after", b"x-poll-interval"])


class Rates(NamedTuple):
    """The headers that tell of a rate limit, in lower case, the first that is there counts; `combined` has all in one.

    `share` of the limit, or `kept` requests, are not for polls.
    """

    remaining: tuple[bytes, ...]
    reset: tuple[bytes, ...]
    limit: tuple[bytes, ...]
    combined: bytes
    share: float = 0.0
    kept: int = 0

    @property
    def names(self) -> frozenset[bytes]:
        return frozenset([*self.remaining, *self.reset, *self.limit, self.combined])


USUAL = Rates(
    remaining=(b"ratelimit-remaining", b"x-ratelimit-remaining"),
    reset=(b"ratelimit-reset", b"x-ratelimit-reset"),
    limit=(b"ratelimit-limit", b"x-ratelimit-limit"),
    combined=b"ratelimit",
)


class Hints(NamedTuple):
    """`fresh_for`: how long the answer says it holds; `slowest`: the pause that rate limits and the backend want.

    `exhausted`: there is nothing left of the budget for so long.
    """

    fresh_for: float | None = None
    slowest: float | None = None
    exhausted: float | None = None


NONE = Hints()


def hints_of(headers: tuple[tuple[bytes, bytes], ...], now: float, rates: Rates = USUAL) -> Hints:
    """What the headers of an answer ask for; `now` in seconds since 1970."""
    found = _found(headers, rates)
    if not found:
        return NONE
    cached = _MAX_AGE.search(found.pop(b"cache-control", b"")[:1024])
    if not found:  # as most answers
        return Hints(fresh_for=float(cached[1])) if cached else NONE
    wanted, exhausted = _budget(found, now, rates)
    every = _number(found.get(b"x-poll-interval"))
    if every is not None:
        wanted = max(wanted or 0.0, every)
    return Hints(float(cached[1]) if cached else None, wanted, exhausted)


def unshared(headers: tuple[tuple[bytes, bytes], ...], forwarded: frozenset[bytes]) -> str:
    """Why an answer is not for everyone whose credentials differ, in the words of its headers; "" if it is.

    `forwarded` are the names of the headers in which those who share may differ.
    """
    for name, value in headers:
        lower = name.lower()
        if lower == b"cache-control":
            said = _UNSHARED.search(value[:1024])
            if said:
                return f"Cache-Control: {said[1].decode().lower()}"
        elif lower == b"vary":
            names = {part.strip().lower() for part in value[:1024].split(b",")}
            if b"*" in names or names & forwarded:
                return "Vary: " + ", ".join(sorted(part.decode("latin-1") for part in names & (forwarded | {b"*"})))
    return ""


def retry_after(headers: Headers | tuple[tuple[bytes, bytes], ...], now: float, rates: Rates = USUAL) -> float | None:
    """Retry-After, or the reset of a rate limit that is used up."""
    found = _found(headers, rates)
    value = found.get(b"retry-after")
    asked = parse_retry_after(value, now) if value else None
    return asked if asked is not None else _budget(found, now, rates)[1]


def _found(headers: Headers | tuple[tuple[bytes, bytes], ...], rates: Rates) -> dict[bytes, bytes]:
    wanted = _WANTED | rates.names
    return {lower: value for name, value in headers if (lower := name.lower()) in wanted}


def _budget(found: dict[bytes, bytes], now: float, rates: Rates) -> tuple[float | None, float | None]:
    """The pause that spreads what is left of a rate limit over its window, and how long there is nothing left."""
    parameters = dict(_PARAMETER.findall(found.get(rates.combined, b"")[:1024]))
    left = _first(parameters.get(b"r"), *map(found.get, rates.remaining))
    resets = parameters.get(b"t"), *map(found.get, rates.reset)
    window = next((seconds for value in resets if (seconds := _until(value, now)) is not None), None)
    if left is None or window is None:
        return None, None
    limit = _first(*map(found.get, rates.limit))
    left -= rates.kept + rates.share * (limit or 0.0)
    if left < 1:
        return window, window
    if limit is None or left > limit * _EARLY:
        return None, None
    return window / left, None


def _until(value: bytes | None, now: float) -> float | None:
    """How long it is until a reset: seconds or a time since 1970, a duration, or a date of HTTP or RFC 3339."""
    if value is None or len(value) > 64:
        return None
    text = value.decode("latin-1").strip()
    number, units = _TIME.fullmatch(text), _DURATION.fullmatch(text)
    if number is not None:
        time = float(number[1])
        return time if time <= _EPOCH else max((time / 1000 if time > _EPOCH_MS else time) - now, 0.0)
    if text and units is not None:
        return sum(float(count) * unit for count, unit in zip(units.groups("0"), _UNITS.values(), strict=True))
    try:
        date = datetime.fromisoformat(text)
        return max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return parse_retry_after(value, now)


def _first(*values: bytes | None) -> float | None:
    return next((number for value in values if (number := _number(value)) is not None), None)


def _number(value: bytes | None) -> float | None:
    if value is None or len(value) > 64:
        return None
    match = _NUMBER.match(value.strip())
    return float(match[0]) if match else None
