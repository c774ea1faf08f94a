"""How fresh the state of one channel is, and what its subscribers are told of that.

Whoever is there is told when it changes: `stale` (the source fails, the last state stands), `error` (it fails, and
there is no state yet), `suspect` (an answer was not believed), and once that is over `recovered`. Who comes later is
told how it is then; that the state is `ok` only where it has an age that is worth a word. Time comes in: `now` on a
clock that never goes back, `today` in seconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.core.event import Event, Json

# A state that was confirmed less than a second ago is as good as one that was asked for when the client came.
NEW = 1.0


class Freshness:
    """One channel's; a new one is ok.

    `told` is the last status that everyone was told, `confirmed_at` when the source last said that the state is as it
    is here, `failed` whether it has failed since, spoken of or not.
    """

    __slots__ = ("_news", "confirmed_at", "failed", "told")

    def __init__(self) -> None:
        self.told: Event | None = None
        self.confirmed_at: float | None = None
        self.failed = False
        self._news: dict[str, Json] = {"state": "ok"}

    def __repr__(self) -> str:
        return f"<Freshness {self.state}>"

    @property
    def state(self) -> Json:
        return self._news["state"]

    @property
    def failing(self) -> bool:
        """Whether subscribers have been told of something wrong that is not over."""
        return self.state not in ("ok", "recovered")

    def confirm(self, now: float) -> None:
        """The source says what the state is, or that it is the same."""
        self.confirmed_at, self.failed = now, False

    def age(self, now: float) -> float | None:
        """Seconds since the state was confirmed; None where nobody confirms it."""
        return None if self.confirmed_at is None else now - self.confirmed_at

    def is_news(self, state: str) -> bool:
        """Whether everyone is to be told of this state (`ok`: of its return)."""
        return self.failing if state == "ok" else state != self.state

    def change(self, state: str, details: dict[str, Json], *, now: float, today: float) -> Event | None:
        """The source is in this state now; the event for everyone, where that is news."""
        news = self.is_news(state)
        if state == "ok":
            details, state = {}, "recovered" if self.failing else str(self.state)
        since = None if news else self._news.get("since")
        self._news = {"state": state, "since": since or datetime.fromtimestamp(today, UTC).isoformat(), **details}
        if not news:
            return None
        self.told = Event(type="status", data=self._aged(self._news, now))
        return self.told

    def worth_telling(self, now: float) -> bool:
        """Whether who is given the state now should know how fresh it is."""
        age = self.age(now)
        return self.failing or (age is not None and age >= NEW)

    def present(self, now: float) -> Event:
        """The status for one subscriber, as it is now."""
        return Event(type="status", data=self._aged(self._news if self.failing else {"state": "ok"}, now))

    def _aged(self, news: dict[str, Json], now: float) -> Json:
        age = self.age(now)
        return news if age is None else {**news, "age": round(age, 1)}
