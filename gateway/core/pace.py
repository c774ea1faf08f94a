"""When to try again: pauses between polls and after failures.

Pure: what happened, the clock and the random number (at least 0, below 1) come in; seconds come out.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

# Doubling beyond this only risks a float overflow: 2**40 seconds are thirty thousand years.
_MOST_DOUBLINGS = 40

# HTTP dates have 29 characters; anything much longer is not worth a parser's time.
_LONGEST_RETRY_AFTER = 64


def jittered(interval: float, jitter: float, random: float) -> float:
    """`interval`, up to the fraction `jitter` shorter or longer, so that equal intervals drift apart."""
    return interval * (1 + jitter * (2 * random - 1))


def rest(interval: float, elapsed: float) -> float:
    """The pause after work that took `elapsed`, so that its starts are `interval` apart.

    Work that is late delays the next: at least a tenth of the interval is always left to rest, so that a
    slow backend is not asked without pause.
    """
    return max(interval - elapsed, interval / 10)


def backoff(attempt: int, first: float, most: float, random: float) -> float:
    """The pause after failure `attempt` (from 0): random from `first` to a ceiling doubling up to `most`.

    Full jitter, as in https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, but never
    below `first`: failing must not make anyone ask more often.
    """
    ceiling = min(most, first * 2.0 ** min(attempt + 1, _MOST_DOUBLINGS))
    return first + max(ceiling - first, 0.0) * random


def parse_retry_after(value: bytes, now: float) -> float | None:
    """Seconds from `now` that a Retry-After header asks for (RFC 9110 section 10.2.3).

    A date in the past is 0, what makes no sense None.
    """
    if len(value) > _LONGEST_RETRY_AFTER:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(int(text))
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(date.timestamp() - now, 0.0)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
