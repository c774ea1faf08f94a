"""Whether what is absent from an answer was deleted.

Backends give short answers for many reasons: a page is missing, a replica lags, an empty list stands for an error
inside. Deletions that never happened are the worst a client can be told. So absence counts only in complete answers,
as often in a row as the route wants; and when most of a list is gone at once, the answer is not believed until
it has been repeated. Pure: `Absences` is all that is remembered from one answer to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.core.event import Json
from gateway.core.keyed import Anonymous, Identified
from gateway.core.settings import Items

# Of a shorter list many a user deletes half in one go; of a longer one a script or a failure does.
FEW = 10

# So many answers in a row that lack most of the list are the truth: a failure inside the backend that makes answers
# short without an error rarely lasts longer than a few polls, and an emptied list must not stay full for ever.
INSISTENT = 3


Scope = Literal["whole", "part", "changes"]
"""What an answer holds: the whole list, a part of it, in its order, or items that have changed, in any order."""


@dataclass(frozen=True, slots=True)
class Absences:
    """In how many complete answers in a row items were absent, and how many answers in a row were not believed."""

    counts: Mapping[Hashable, int] = field(default_factory=dict)
    suspect: int = 0

    @property
    def open(self) -> bool:
        """Whether the same answer once more may lead to deletions."""
        return bool(self.counts) or self.suspect > 0

    def but(self, seen: Collection[Hashable]) -> Absences:
        """Without those of items that are accounted for."""
        if not self.counts or not seen:
            return self
        return Absences(
            {identity: count for identity, count in self.counts.items() if identity not in seen}, self.suspect
        )


NONE = Absences()


class Settled(NamedTuple):
    """The list to go on with, what to remember, and why the answer was not believed ("" when it was)."""

    items: Identified
    absences: Absences
    doubt: str = ""


def settle(old: Identified, new: Identified, items: Items, past: Absences, scope: Scope) -> Settled:
    """What becomes of the items of `old` that `new` does not have."""
    if scope == "changes":  # the rest stays, in its place, and what is new comes last
        return Settled({**old, **new}, past.but(new))
    if old.keys() <= new.keys():
        return Settled(new, NONE)
    absent = [identity for identity in old if identity not in new]
    if scope == "part":
        return Settled(_keep(old, new, absent), past.but(new))
    news = sum(identity not in past.counts for identity in absent)  # the others were believed to be absent before
    suspicious = news >= FEW and news > items.max_delete_ratio * len(old)
    if suspicious and past.suspect + 1 < INSISTENT:
        doubt = f"the answer lacks {len(absent)} of {len(old)} items: not believed until it has been repeated"
        return Settled(old, Absences(past.counts, past.suspect + 1), doubt)
    more = 1 + past.suspect if suspicious else 1  # what was doubted counts once it is believed
    counts = {identity: past.counts.get(identity, 0) + more for identity in absent}
    kept = {identity: n for identity, n in counts.items() if n < items.delete_after and type(identity) is not Anonymous}
    return Settled(_keep(old, new, list(kept)) if kept else new, Absences(kept))


def _keep(old: Identified, new: Identified, absent: list[Hashable]) -> Identified:
    """The new list with absent items of the old one, each behind the item that it stood behind."""
    staying = set(absent)
    followers: dict[Hashable, list[Hashable]] = {}
    first: list[Hashable] = []
    group = first
    for identity in old:
        if identity in staying:
            group.append(identity)
        elif identity in new:
            group = followers.setdefault(identity, [])
    kept: dict[Hashable, Json] = {identity: old[identity] for identity in first}
    for identity, item in new.items():
        kept[identity] = item
        for follower in followers.get(identity, ()):
            kept[follower] = old[follower]
    return kept
