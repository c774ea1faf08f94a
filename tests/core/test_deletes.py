from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.deletes import FEW, INSISTENT, NONE, Absences, settle
from gateway.core.event import Json
from gateway.core.keyed import identify
from gateway.core.settings import Items

ONCE = Items()


class Watch:
    """A list as it is kept, answer by answer."""

    def __init__(self, items: Items, *ids: Json) -> None:
        self.items = items
        self.kept: list[Json] = [{"id": id_} for id_ in ids]
        self.absences = NONE
        self.doubt = ""

    def answer(self, *ids: Json, complete: bool = True) -> list[Json]:
        old, new = identify(self.kept, self.items.key), identify([{"id": id_} for id_ in ids], self.items.key)
        settled = settle(old, new, self.items, self.absences, "whole" if complete else "part")
        self.kept = list(settled.items.values())
        self.absences, self.doubt = settled.absences, settled.doubt
        return [item["id"] if isinstance(item, dict) else item for item in self.kept]


def test_absent_once_is_deleted_unless_told_otherwise() -> None:
    watch = Watch(ONCE, 1, 2, 3)
    assert watch.answer(1, 3) == [1, 3]
    assert watch.absences is NONE or watch.absences == NONE


def test_absent_often_enough_is_deleted() -> None:
    watch = Watch(Items(delete_after=3), 1, 2, 3)
    assert watch.answer(1, 3) == [1, 2, 3]
    assert watch.absences.open
    assert watch.answer(1, 3) == [1, 2, 3]
    assert watch.answer(1, 3) == [1, 3]
    assert not watch.absences.open


def test_what_comes_back_begins_anew() -> None:
    watch = Watch(Items(delete_after=2), 1, 2)
    watch.answer(1)
    assert watch.answer(1, 2) == [1, 2]
    assert not watch.absences.open
    assert watch.answer(1) == [1, 2]
    assert watch.answer(1) == [1]


def test_an_incomplete_answer_deletes_nothing_and_counts_nothing() -> None:
    watch = Watch(Items(delete_after=2), 1, 2, 3)
    for _ in range(5):
        assert watch.answer(3, complete=False) == [1, 2, 3]
    assert not watch.absences.open
    watch.answer(2, 3)
    assert watch.answer(3, complete=False) == [1, 2, 3]
    assert watch.absences.counts == {1: 1}
    assert watch.answer(3) == [2, 3]


def test_kept_items_stand_where_they_stood() -> None:
    watch = Watch(Items(delete_after=2), 1, 2, 3, 4, 5)
    assert watch.answer(9, 3, 4, 8) == [1, 2, 9, 3, 4, 5, 8]


MANY = range(20)


def test_most_of_a_list_gone_at_once_is_not_believed_until_repeated() -> None:
    watch = Watch(ONCE, *MANY)
    for _ in range(INSISTENT - 1):
        assert watch.answer() == list(MANY)
        assert watch.doubt == "the answer lacks 20 of 20 items: not believed until it has been repeated"
        assert watch.absences.open
    assert watch.answer() == []
    assert watch.doubt == ""
    assert not watch.absences.open


def test_a_doubted_answer_brings_nothing_at_all() -> None:
    watch = Watch(ONCE, *MANY)
    assert watch.answer("new") == list(MANY)


def test_a_good_answer_in_between_ends_the_doubt() -> None:
    watch = Watch(ONCE, *MANY)
    watch.answer()
    watch.answer(*MANY)
    assert watch.doubt == ""
    assert watch.answer() == list(MANY)


@pytest.mark.parametrize(
    ("known", "left", "items", "believed"),
    [
        (FEW - 1, 0, ONCE, True),  # a short list may be emptied
        (FEW, 0, ONCE, False),
        (20, 10, ONCE, True),  # half is not most
        (20, 9, ONCE, False),
        (20, 0, Items(max_delete_ratio=1.0), True),
        (100, 89, Items(max_delete_ratio=0.1), False),
    ],
)
def test_what_is_doubted(known: int, left: int, items: Items, believed: bool) -> None:
    watch = Watch(items, *range(known))
    assert watch.answer(*range(left)) == list(range(left if believed else known))


def test_doubted_answers_count_once_they_are_believed() -> None:
    watch = Watch(Items(delete_after=INSISTENT + 1), *MANY)
    for _ in range(INSISTENT):
        assert watch.answer() == list(MANY)
    assert watch.doubt == ""
    assert watch.answer() == []


def test_an_incomplete_answer_leaves_the_doubt_as_it_is() -> None:
    watch = Watch(ONCE, *MANY)
    watch.answer()
    watch.answer(complete=False)
    assert watch.absences == Absences({}, 1)


def test_items_without_a_key_are_not_kept() -> None:
    watch = Watch(Items(delete_after=2), 1, None)
    assert watch.answer(1) == [1]


IDS = st.lists(st.integers(0, 30), unique=True, max_size=30)


@given(IDS, st.lists(st.tuples(IDS, st.booleans()), max_size=6), st.integers(1, 3))
def test_repeated_often_enough_every_complete_answer_is_the_truth(
    first: list[int], answers: list[tuple[list[int], bool]], delete_after: int
) -> None:
    watch = Watch(Items(delete_after=delete_after), *first)
    for ids, complete in answers:
        before = {item["id"] for item in watch.kept if isinstance(item, dict)}
        after = watch.answer(*ids, complete=complete)
        assert len(set(map(str, after))) == len(after)
        if not complete:
            assert before <= set(after)
    for _ in range(INSISTENT + delete_after):
        watch.answer(*range(5))
    assert watch.answer(*range(5)) == list(range(5))
    assert not watch.absences.open
