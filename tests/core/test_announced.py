"""Which changes had been announced."""

from __future__ import annotations

import pytest

from gateway.core.announced import Announced

TELL, BEGIN, CHANGED, SAME, DOUBTED = "tell", "begin", "changed", "same", "doubted"
FIRST = [BEGIN, CHANGED]


def unforeseen(*steps: str) -> int:
    announced, count = Announced(), 0
    for step in steps:
        if step == TELL:
            announced.tell()
        elif step == BEGIN:
            announced.begin()
        else:
            count += announced.found(changed=step == CHANGED, open=step == DOUBTED)
    return count


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        (FIRST, 0),
        ([*FIRST, BEGIN, SAME], 0),
        ([*FIRST, BEGIN, CHANGED], 1),
        ([*FIRST, BEGIN, CHANGED, BEGIN, CHANGED], 2),
        ([*FIRST, TELL, BEGIN, CHANGED], 0),
        ([*FIRST, TELL, BEGIN, CHANGED, BEGIN, CHANGED], 1),
        ([*FIRST, TELL, BEGIN, SAME, BEGIN, CHANGED], 1),
        ([TELL, *FIRST, BEGIN, CHANGED], 1),
    ],
)
def test_a_change_counts_unless_it_was_told_of_before_the_look(steps: list[str], count: int) -> None:
    assert unforeseen(*steps) == count


def test_a_look_that_was_under_way_may_see_it_and_the_next_is_announced_as_well() -> None:
    assert unforeseen(*FIRST, BEGIN, TELL, CHANGED, BEGIN, CHANGED) == 0
    assert unforeseen(*FIRST, BEGIN, TELL, CHANGED, BEGIN, CHANGED, BEGIN, CHANGED) == 1


def test_a_look_that_failed_is_made_up_for() -> None:
    assert unforeseen(*FIRST, TELL, BEGIN, BEGIN, CHANGED) == 0


def test_what_was_doubted_has_been_announced_when_it_is_believed() -> None:
    assert unforeseen(*FIRST, TELL, BEGIN, DOUBTED, BEGIN, DOUBTED, BEGIN, CHANGED) == 0
    assert unforeseen(*FIRST, TELL, BEGIN, DOUBTED, BEGIN, CHANGED, BEGIN, CHANGED) == 1
    assert unforeseen(*FIRST, BEGIN, DOUBTED, BEGIN, CHANGED) == 1, "it still has to be announced"


def test_where_nobody_says_that_a_look_begins() -> None:
    assert unforeseen(CHANGED, TELL, CHANGED) == 0
    assert unforeseen(CHANGED, CHANGED) == 1


def test_what_it_shows() -> None:
    announced = Announced()
    assert repr(announced) == "<Announced no>"
    announced.tell()
    assert repr(announced) == "<Announced yes>"
