"""Whether a change that a look found had been announced: by a webhook, or by a write that passed through.

    announced ─► look begins ─► change found     as it should be
                 look begins ─► change found     nobody told of it: a webhook is lost, or late

A look that began before the announcement may see the change already, and the one that follows is announced as well; one
that failed is made up for by the next, and a deletion that is not believed at once by the one that does. Pure.
"""

from __future__ import annotations


class Announced:
    """What has been told of one channel, and not been looked at since."""

    __slots__ = ("_now", "_seen", "_since")

    def __init__(self) -> None:
        self._since = False  # told of since the last look began
        self._now = False  # told of before the look under way began, or before one that failed
        self._seen = False  # there is a state that a change could be of

    def __repr__(self) -> str:
        return f"<Announced {'yes' if self._now or self._since else 'no'}>"

    def tell(self) -> None:
        """Somebody tells of a change."""
        self._since = True

    def begin(self) -> None:
        """A look begins."""
        self._now = self._now or self._since
        self._since = False

    def found(self, *, changed: bool, open: bool = False) -> bool:
        """A look has brought a state; says whether it is a change that nobody told of.

        While the answer is `open`, the same once more may be a change: that was told of now as well.
        """
        unforeseen = changed and self._seen and not (self._now or self._since)
        self._seen, self._now = True, self._now and open
        return unforeseen
