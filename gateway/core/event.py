"""What travels on a channel: events for clients, and the change of state they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.core.position import Position

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

EventType = Literal[
    "snapshot", "patch", "merge", "created", "updated", "moved", "deleted",
    "message", "position", "notify", "status", "gap", "close",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One item in a channel. `status`, `gap` and `close` are not part of the log and have no position.

    A `position` says where a client stands who was sent nothing yet, and has no data.
    `reset` marks a snapshot sent because the client's own position could not be continued.
    """

    type: EventType
    data: Json
    position: Position | None = None
    reset: bool = False

    def envelope(self) -> dict[str, Json]:
        """The event as clients read it: `{"id", "type", "data"}` and `"reset": true` where it applies."""
        envelope: dict[str, Json] = {"type": self.type, "data": self.data}
        if self.position is not None:
            envelope = {"id": str(self.position), **envelope}
        if self.reset:
            envelope["reset"] = True
        return envelope


@dataclass(frozen=True, slots=True)
class ItemChange:
    """What happened to one item of a keyed list, or one message; `data` is the event's data as clients read it."""

    type: Literal["created", "updated", "moved", "deleted", "message"]
    data: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a channel's state, as it travels through the broker.

    `document` is the whole state after it, `patch` the RFC 6902 operations from the state before
    (None: there was none, or the patch would cost more than the snapshot), `merge` the RFC 7396 patch where
    clients may ask for it (None also where it can't say what changed), `items` the keyed events. On a channel of
    messages there is no state: a change is its message alone.
    """

    document: Json
    patch: list[Json] | None = None
    merge: dict[str, Json] | None = None
    items: tuple[ItemChange, ...] = ()

    @property
    def span(self) -> int:
        """How many offsets it takes: one for each item event, and at least one."""
        return len(self.items) or 1


def message(data: Json) -> Change:
    """What a channel without state takes: one message, which may be anything."""
    return Change(document=None, items=(ItemChange("message", data),))  # type: ignore[arg-type]  # others are mappings
