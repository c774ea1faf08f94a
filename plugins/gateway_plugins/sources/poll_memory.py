"""What one channel's polls remember of the answers before: validators, and how far they may be trusted.

Some backends go on answering 304 though the resource has changed; subscribers would never hear of it. So a run of
304s is interrupted by a poll without conditions now and then, and a backend that is caught is asked for the whole
state from then on. Pure; time comes in.
"""

from __future__ import annotations

from gateway.plugin import Headers
from gateway_plugins.sources.poll_answer import Validators


class Memory:
    """Made empty for a channel that is followed anew. `digest` is that of the last body that became the state.

    The whole is asked for after `most` 304s in a row, and `ttl` seconds after it last came.
    """

    __slots__ = ("_conditions", "_most", "_not_modified", "_trusted", "_ttl", "_validators", "_whole_at", "digest")

    def __init__(self, most: int, ttl: float, *, trusted: bool = True) -> None:
        self.digest: bytes | None = None
        self._validators = Validators()
        self._conditions: Headers = []
        self._most = most
        self._ttl = ttl
        self._trusted = trusted
        self._not_modified = 0
        self._whole_at = 0.0

    def __repr__(self) -> str:
        trust = "trusted" if self._trusted else "distrusted"
        return f"<Memory {trust}, not modified {self._not_modified} times>"

    def anew(self) -> Memory:
        """The memory for another URL: validators and bodies are of one alone, but distrust stays."""
        return Memory(self._most, self._ttl, trusted=self._trusted)

    def conditions(self, now: float) -> Headers:
        """The conditions of the next poll; none when it is time for the whole state."""
        if self._not_modified >= self._most or now - self._whole_at >= self._ttl:
            return []
        return self._conditions

    def not_modified(self) -> None:
        """The backend says that nothing has changed."""
        self._not_modified += 1

    def whole(self, digest: bytes, validators: Validators, now: float, *, changed: bool) -> bool:
        """The backend sent the whole state; `changed` tells whether it was another than before.

        Says whether that shows a validator to be a lie, for the first time.
        """
        lied = changed and validators.strongest is not None and validators.strongest == self._validators.strongest
        distrusted = lied and self._trusted
        self._trusted = self._trusted and not lied
        self.digest = digest
        self._validators = validators
        self._conditions = validators.conditions() if self._trusted else []
        self._not_modified = 0
        self._whole_at = now
        return distrusted
