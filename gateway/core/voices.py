"""In whose name a shared channel is asked for: the credentials of subscribers who are there, one at a time.

Nobody's credentials are used after it has left, after they have expired, or once the backend has refused them; and
never two subscribers' in one request. Pure; time is in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.asgi import Headers


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Voice:
    """One subscriber's credentials, until `expires`; `refused` tells it that the backend has answered them so."""

    headers: Headers
    expires: float | None
    refused: Callable[[int], None] | None = None


class Voices:
    """Those of one channel, in the order that they came."""

    __slots__ = ("_there",)

    def __init__(self) -> None:
        self._there: dict[Voice, None] = {}

    def __len__(self) -> int:
        return len(self._there)

    def join(self, headers: Headers, expires: float | None, refused: Callable[[int], None] | None = None) -> Voice:
        """A subscriber has come."""
        voice = Voice(headers, expires, refused)
        self._there[voice] = None
        return voice

    def leave(self, voice: Voice) -> None:
        """It has gone."""
        self._there.pop(voice, None)

    def refuse(self, voice: Voice, status: int) -> None:
        """The backend has refused its credentials with this status: it is not to share what others' still bring."""
        self.leave(voice)
        if voice.refused is not None:
            voice.refused(status)

    def speaker(self, now: float) -> Voice | None:
        """Whose credentials to use: the first that hold. None when nobody's do."""
        for voice in tuple(self._there):
            if voice.expires is None or voice.expires > now:
                return voice
            del self._there[voice]
        return None
