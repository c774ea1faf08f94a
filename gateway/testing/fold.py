"""A client's state, made of the events that it hears: all that a client library has to do."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.event import Json
from gateway.core.patch import apply_patch


class Fold:
    """`state` is the document after the events so far, `missed` the sum of its gaps; `key` is the items' key field."""

    def __init__(self, key: str = "id") -> None:
        self.state: Json = None
        self.missed = 0
        self._key = key

    def all(self, events: Iterable[dict[str, Json]]) -> None:
        """Take these events in turn."""
        for event in events:
            self.one(event)

    def one(self, event: dict[str, Json]) -> None:
        """Take an event, as its envelope; those that say nothing of the state leave it alone."""
        kind, data = event["type"], event["data"]
        if kind == "snapshot":
            self.state = data
        elif kind == "patch" and isinstance(data, list):
            self.state = apply_patch(self.state, data)
        elif kind == "gap" and isinstance(data, dict) and isinstance(data["missed"], int):
            self.missed += data["missed"]
        elif kind in ("created", "updated", "deleted") and isinstance(data, dict):
            self._item(data["key"], data.get("item"), gone=kind == "deleted")

    def _item(self, key: Json, item: Json, *, gone: bool) -> None:
        items = self.state if isinstance(self.state, list) else []
        keys = [one[self._key] if isinstance(one, dict) else None for one in items]
        at = keys.index(key) if key in keys else len(items)
        self.state = [*items[:at], *([] if gone else [item]), *items[at + 1 :]]
