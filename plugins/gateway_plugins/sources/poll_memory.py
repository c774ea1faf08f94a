"""What one channel's polls remember of the answers before: validators, and how far they may be trusted.

Some backends go on answering 304 though the resource has changed; subscribers would never hear of it. So a run of
304s is interrupted by a poll without conditions now and then, and a backend that is caught is asked for the whole
state from then on. Pure; time comes in.
"""

from __future__ import annotations

from gateway.plugin import Headers
from gateway_plugins.sources.poll_answer import Validators

# A whole answer this often costs 5 % of the backend's savings and bounds the harm of a stuck validator.
MOST_NOT_MODIFIED = 20
LONGEST_TRUST = 600.0


class Memory:
    """Made empty for a channel that is followed anew. `digest` is that of the last body that became the state."""

    __slots__ = ("_conditions", "_not_modified", "_trusted", "_validators", "_whole_at", "digest")

    def __init__(self) -> None:
        self.digest: bytes | None = None
        self._validators = Validators()
        self._conditions: Headers = []
        self._trusted = True
        self._not_modified = 0
        self._whole_at = 0.0

    def __repr__(self) -> str:
        trust = "trusted" if self._trusted else "distrusted"
        return f"<Memory {trust}, not modified {self._not_modified} times>"

    def conditions(self, now: float) -> Headers:
        """The conditions of the next poll; none when it is time for the whole state."""
        if self._not_modified >= MOST_NOT_MODIFIED or now - self._whole_at >= LONGEST_TRUST:
            return []
        return self._conditions

    def not_modified(self) -> None:
        """The backend says that nothing has changed."""
        self._not_modified += 1

    def whole(self, digest: bytes, validators: Validators, now: float, *, changed: bool) -> None:
        """The backend sent the whole state; `changed` tells whether it was another than before."""
        if changed and validators.strongest is not None and validators.strongest == self._validators.strongest:
            self._trusted = False
        self.digest = digest
        self._validators = validators
        self._conditions = validators.conditions() if self._trusted else []
        self._not_modified = 0
        self._whole_at = now
