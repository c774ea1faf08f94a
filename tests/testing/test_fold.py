from __future__ import annotations

from gateway.core.event import Json
from gateway.testing.fold import Fold


def event(kind: str, data: Json) -> dict[str, Json]:
    return {"type": kind, "data": data}


def test_items_come_change_and_go() -> None:
    fold = Fold()
    fold.all(
        [
            event("snapshot", [{"id": 1}, {"id": 2}]),
            event("created", {"key": 3, "item": {"id": 3}}),
            event("updated", {"key": 1, "item": {"id": 1, "n": 1}}),
            event("deleted", {"key": 2}),
            event("status", {"state": "stale"}),
        ]
    )
    assert fold.state == [{"id": 1, "n": 1}, {"id": 3}]


def test_patches_snapshots_and_gaps() -> None:
    fold = Fold()
    fold.all([event("snapshot", {"a": 1}), event("patch", [{"op": "replace", "path": "/a", "value": 2}])])
    assert fold.state == {"a": 2}
    fold.all([event("gap", {"missed": 3}), event("gap", {"missed": 4})])
    assert fold.missed == 7
