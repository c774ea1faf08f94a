"""Which channels a session may name, decided by the patterns of its route.

A channel of a live route is named by its URL, the query included; its pattern is a path template, and queries
always fit, as they do in routes.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.route import Template, decode_path
from gateway.errors import ClientError


def allows(patterns: tuple[Template, ...]) -> Callable[[str], bool]:
    """Whether one of the patterns fits a channel's name."""

    def fits(name: str) -> bool:
        try:
            path = decode_path(name.partition("?")[0].encode())
        except (ClientError, UnicodeEncodeError):  # dot segments, lone surrogates
            return False
        return any(pattern.fit(path) is not None for pattern in patterns)

    return fits
