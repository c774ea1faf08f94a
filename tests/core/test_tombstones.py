from __future__ import annotations

import pytest

from gateway.core.change import change_between, first_state
from gateway.core.deletes import Absences, Scope
from gateway.core.event import Json
from gateway.core.settings import Items, LiveSettings, PluginUse
from gateway.core.tombstones import part

ITEMS = Items(deleted="gone")
LIVE = LiveSettings(source=PluginUse(name="poll", options=None), items=ITEMS)


def rows(*ids: int) -> list[Json]:
    return [{"id": number} for number in ids]


def tomb(number: int) -> Json:
    return {"id": number, "gone": True}


def test_tombstones_are_no_items() -> None:
    assert part([{"id": 1}, tomb(2), {"id": 3}], ITEMS) == (rows(1, 3), {2})


def test_without_the_key_all_are_items() -> None:
    assert part([tomb(2)], Items()) == ([tomb(2)], set())


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_signs_of_life(value: Json) -> None:
    assert part([{"id": 1, "gone": value}], ITEMS)[1] == set()


@pytest.mark.parametrize("value", [True, 1, "2024-05-01"])
def test_signs_of_death(value: Json) -> None:
    assert part([{"id": 1, "gone": value}], ITEMS) == ([], {1})


def test_a_predicate_that_cannot_be_applied_deletes_nothing() -> None:
    items = Items(deleted="starts_with(state, 'x')")
    assert part([{"id": 1, "state": 5}, {"id": 2, "state": "xx"}], items) == ([{"id": 1, "state": 5}], {2})


def test_of_an_item_and_its_tombstone_the_last_counts() -> None:
    assert part([tomb(1), {"id": 1}], ITEMS)[1] == set()
    assert 1 in part([{"id": 1}, tomb(1)], ITEMS)[1]


def test_a_tombstone_without_a_key_says_nothing_of_others() -> None:
    assert part([{"gone": True}, {"id": 1}], ITEMS) == (rows(1), set())


def test_a_first_state_holds_no_tombstones() -> None:
    change = first_state([{"id": 1}, tomb(2)], LIVE).change
    assert change is not None
    assert change.document == rows(1)


@pytest.mark.parametrize("scope", ["whole", "part", "changes"])
def test_tombstones_are_believed_at_once_however_many(scope: Scope) -> None:
    """Neither `delete_after` nor the guard against mass deletion is about them."""
    live = LiveSettings(source=LIVE.source, items=Items(deleted="gone", delete_after=5))
    step = change_between(rows(*range(20)), [tomb(number) for number in range(20)], live, scope=scope)
    assert step.change is not None
    assert step.change.document == []
    assert [item.type for item in step.change.items] == ["deleted"] * 20
    assert not step.absences.open
    assert step.doubt == ""


def test_a_doubtful_answer_is_believed_in_its_tombstones() -> None:
    step = change_between(rows(*range(20)), [tomb(0)], LIVE)
    assert step.change is not None
    assert [(item.type, item.data["key"]) for item in step.change.items] == [("deleted", 0)]
    assert "lacks 19 of 19" in step.doubt


def test_changes_leave_the_rest_as_it_was() -> None:
    step = change_between(rows(1, 2, 3), [tomb(3), {"id": 2, "n": 1}, tomb(7), {"id": 4}], LIVE, scope="changes")
    assert step.change is not None
    assert step.change.document == [{"id": 1}, {"id": 2, "n": 1}, {"id": 4}]
    assert [item.type for item in step.change.items] == ["deleted", "updated", "created"]


def test_changes_forget_no_absences_but_those_of_what_they_name() -> None:
    step = change_between(
        rows(1, 2, 3, 4), [{"id": 2}, tomb(3)], LIVE, Absences({1: 1, 2: 1, 3: 1}, 1), scope="changes"
    )
    assert step.absences == Absences({1: 1}, 1)
