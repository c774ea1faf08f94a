from __future__ import annotations

from gateway.core.event import Change, Event, ItemChange
from gateway.core.position import Position


def test_the_envelope_is_what_clients_read() -> None:
    event = Event(type="updated", data={"key": 1}, position=Position("e", 4))
    assert event.envelope() == {"id": "e.4", "type": "updated", "data": {"key": 1}}
    assert list(event.envelope()) == ["id", "type", "data"]
    assert Event(type="status", data={}).envelope() == {"type": "status", "data": {}}
    snapshot = Event(type="snapshot", data=[], position=Position("e", 1), reset=True)
    assert snapshot.envelope() == {"id": "e.1", "type": "snapshot", "data": [], "reset": True}


def test_a_change_takes_an_offset_for_each_item_and_one_at_least() -> None:
    item = ItemChange("deleted", {"key": 1})
    assert Change(document=[]).span == 1
    assert Change(document=[], patch=[], items=(item,)).span == 1
    assert Change(document=[], items=(item, item, item)).span == 3
