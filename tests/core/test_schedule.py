from __future__ import annotations

from itertools import pairwise
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.schedule import Entry, Lane, Schedule


def test_the_first_look_is_at_once_and_the_next_when_it_is_due() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    assert schedule.take(0.0) == [entry]
    assert (schedule.take(0.0), schedule.wake()) == ([], None)
    schedule.finished(entry, 1.0, 5.0)
    assert (schedule.take(5.9), schedule.wake()) == ([], 6.0)
    assert schedule.take(6.0) == [entry]


def test_a_lane_is_bounded_and_first_looks_go_before_regular_ones() -> None:
    schedule, lane = Schedule[Entry](), Lane(1)
    old, other, new = Entry(lane), Entry(lane), Entry(lane)
    for entry in (old, other):
        schedule.add(entry)
        assert schedule.take(0.0) == [entry]
        schedule.finished(entry, 0.0, 1.0)
    assert schedule.take(1.0) == [old]
    schedule.add(new)
    assert (schedule.take(2.0), schedule.wake()) == ([], None), "nothing to wait for but the end of a look"
    schedule.finished(old, 3.0, 10.0)
    assert schedule.take(3.0) == [new]
    schedule.finished(new, 4.0, 10.0)
    assert schedule.take(4.0) == [other]


class Lonely(Entry):
    """Somebody waits for it, or not, as the test says."""

    lonely = False

    @property
    def idle(self) -> bool:
        return self.lonely


def lonely_ones(count: int) -> tuple[Schedule[Lonely], list[Lonely]]:
    """They are ready at 1, and go one by one."""
    schedule, lane = Schedule[Lonely](), Lane(1)
    entries = [Lonely(lane) for _ in range(count)]
    for entry in entries:
        schedule.add(entry)
        assert schedule.take(0.0) == [entry], "the first look is for whoever comes"
        schedule.finished(entry, 0.0, 1.0)
    return schedule, entries


def test_what_nobody_waits_for_goes_last() -> None:
    schedule, (one, two, three) = lonely_ones(3)
    one.lonely = two.lonely = True
    order = [*schedule.take(1.0)]
    while len(order) < 3:
        schedule.finished(order[-1], 1.0, 10.0)
        order += schedule.take(1.0)
    assert order == [three, one, two]


def test_who_comes_waits_behind_nobody() -> None:
    schedule, (one, two, three) = lonely_ones(3)
    one.lonely = two.lonely = three.lonely = True
    assert schedule.take(1.0) == [one]
    assert repr(two.lane) == "<Lane 1 of 1 running, 0 + 0 + 2 ready>"
    three.lonely = False
    schedule.overtake(one, 1.0)  # which is under way
    schedule.overtake(three, 1.0)
    schedule.finished(one, 1.0, 10.0)
    assert schedule.take(1.0) == [three]
    schedule.finished(three, 1.0, 10.0)
    assert (schedule.take(1.0), schedule.take(1.0)) == ([two], [])
    schedule.finished(two, 1.0, 10.0)
    assert (schedule.take(1.0), schedule.wake()) == ([], 11.0), "nobody has been looked at twice"


def test_lanes_do_not_wait_for_each_other() -> None:
    schedule, full = Schedule[Entry](), Lane(1)
    busy, waiting, elsewhere = Entry(full), Entry(full), Entry(Lane(1))
    for entry in (busy, waiting, elsewhere):
        schedule.add(entry)
    assert schedule.take(0.0) == [busy, elsewhere]


def test_asked_for_early() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    schedule.take(0.0)
    schedule.finished(entry, 0.0, 100.0)
    schedule.refresh(entry, 1.0)
    schedule.refresh(entry, 1.0)
    assert schedule.take(1.0) == [entry]
    schedule.finished(entry, 1.0, 100.0)
    assert (schedule.take(1.0), schedule.wake()) == ([], 101.0)


def test_a_look_is_hastened_to_a_shorter_pause_after_the_last() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    schedule.take(0.0)
    schedule.finished(entry, 10.0, 60.0, least=3.0)
    assert schedule.take(10.0) == []
    schedule.hasten(entry, 90.0)
    assert schedule.wake() == 70.0
    for _ in range(3):
        schedule.hasten(entry, 5.0)
        assert schedule.wake() == 15.0
    schedule.hasten(entry, 1.0)
    assert schedule.wake() == 13.0, "not before the rest is over"
    assert schedule.take(13.0) == [entry]
    schedule.hasten(entry, 0.1)
    assert schedule.take(13.0) == []


def test_what_begins_later() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry, 5.0)
    assert (schedule.take(4.9), schedule.wake()) == ([], 5.0)
    assert schedule.take(5.0) == [entry]


def test_what_is_looked_at_only_when_it_is_asked_for() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry, inf)
    assert (schedule.take(1e9), schedule.wake()) == ([], None)
    schedule.refresh(entry, 1.0)
    assert schedule.take(1.0) == [entry]
    schedule.refresh(entry, 1.5)
    schedule.finished(entry, 2.0, 100.0, asked=True)
    assert schedule.take(2.0) == [entry], "it was asked for meanwhile"
    schedule.refresh(entry, 2.5)
    schedule.finished(entry, 2.5, 100.0, asked=True)
    assert (schedule.take(2.9), schedule.wake()) == ([], 3.0), "spaced as others are"
    assert schedule.take(3.0) == [entry]
    schedule.finished(entry, 4.0, 100.0, asked=True)
    assert (schedule.take(1e9), schedule.wake()) == ([], None)
    schedule.refresh(entry, 1e9)
    assert schedule.take(1e9) == [entry]
    schedule.remove(entry)
    assert entry.lane.running == 0


def test_asked_for_while_under_way_means_once_more_after() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(2))
    schedule.add(entry)
    schedule.take(0.0)
    schedule.refresh(entry, 0.0)
    schedule.refresh(entry, 0.0)
    assert schedule.take(0.0) == [], "never two at once"
    schedule.finished(entry, 1.0, 100.0)
    assert schedule.take(1.0) == [entry]
    schedule.finished(entry, 2.0, 100.0)
    assert schedule.take(2.0) == []


def test_a_backend_that_asks_for_rest_gets_it_from_all() -> None:
    schedule, lane = Schedule[Entry](), Lane(9)
    one, two = Entry(lane), Entry(lane)
    schedule.add(one)
    schedule.take(0.0)
    schedule.finished(one, 1.0, 2.0, hold=30.0)
    schedule.add(two)
    assert (schedule.take(5.0), schedule.wake()) == ([], 31.0)
    assert schedule.take(31.0) == [two, one]


def test_who_asks_gets_nothing_before_the_rest_is_over() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    schedule.take(0.0)
    schedule.refresh(entry, 0.0)
    schedule.finished(entry, 0.0, 50.0, least=30.0)
    assert (schedule.take(29.0), schedule.wake()) == ([], 30.0), "asked for while it was under way"
    assert schedule.take(30.0) == [entry]
    schedule.finished(entry, 30.0, 50.0, least=30.0)
    schedule.refresh(entry, 40.0)
    schedule.refresh(entry, 41.0)
    assert (schedule.take(59.0), schedule.wake()) == ([], 60.0), "asked for while it waits"
    assert schedule.take(60.0) == [entry]
    schedule.finished(entry, 61.0, 50.0)
    schedule.refresh(entry, 62.0)
    assert schedule.take(62.0) == [entry], "the rest was that of one answer"


def test_what_is_removed_is_not_looked_at_and_leaves_its_place() -> None:
    schedule, lane = Schedule[Entry](), Lane(1)
    running, ready, waiting = Entry(lane), Entry(lane), Entry(Lane(1))
    for entry in (waiting, running, ready):
        schedule.add(entry)
    assert schedule.take(0.0) == [waiting, running]
    schedule.finished(waiting, 0.0, 1.0)
    for entry in (running, ready, waiting):
        schedule.remove(entry)
    assert (schedule.take(9.0), schedule.wake(), lane.running) == ([], None, 0)
    schedule.finished(running, 9.0, 1.0)
    schedule.refresh(running, 9.0)
    assert (schedule.take(99.0), lane.running) == ([], 0)


def test_looks_that_are_asked_for_again_and_again_leave_nothing_behind() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    for time in range(1, 2000, 2):
        assert schedule.take(float(time)) == [entry]
        schedule.finished(entry, float(time), 1e6)
        schedule.refresh(entry, float(time))
    assert len(schedule._heap) < 100


def test_who_asks_all_the_time_is_looked_at_once_in_a_while_and_never_forgotten() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    schedule.take(0.0)
    schedule.finished(entry, 0.0, 5.0)
    looks: list[float] = []
    for tick in range(1, 401):  # a write each hundredth of a second, and a look takes as long
        now = tick / 100
        schedule.refresh(entry, now)
        for taken in schedule.take(now):
            looks.append(now)
            schedule.refresh(taken, now)
            schedule.finished(taken, now, 5.0)
    assert looks[0] == 0.01, "the first at once"
    assert {round(after - before, 2) for before, after in pairwise(looks)} == {0.5}
    assert len(looks) == 8
    due = schedule.wake()
    assert due is not None
    assert schedule.take(due) == [entry], "the last one asked for is had"
    schedule.finished(entry, due, 5.0)
    assert (schedule.take(due), schedule.wake()) == ([], due + 5.0)


def test_a_long_pause_does_not_make_who_asks_wait_long() -> None:
    schedule, entry = Schedule[Entry](), Entry(Lane(1))
    schedule.add(entry)
    for begun, asked in ((0.0, 0.0), (0.0, 0.5)):
        schedule.take(begun)
        schedule.finished(entry, begun, 600.0)
        schedule.refresh(entry, asked)
    assert (schedule.take(0.5), schedule.wake()) == ([], 1.0)


class Play(RuleBasedStateMachine):
    """Against what must always hold: bounds, no overlap, nothing forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[Entry] = Schedule()
        self.lanes = [Lane(1), Lane(3)]
        self.entries: list[Entry] = []
        self.running: list[Entry] = []
        self.now = 0.0

    @rule(lane=st.integers(0, 1))
    def add(self, lane: int) -> None:
        self.entries.append(Entry(self.lanes[lane]))
        self.schedule.add(self.entries[-1])

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def refresh(self, data: st.DataObject) -> None:
        self.schedule.refresh(data.draw(st.sampled_from(self.entries)), self.now)

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), pause=st.sampled_from([0.5, 2.0]))
    def hasten(self, data: st.DataObject, pause: float) -> None:
        entry = data.draw(st.sampled_from(self.entries))
        self.schedule.hasten(entry, pause)
        assert entry.pause >= 0

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.entries))
        self.entries.remove(entry)
        self.schedule.remove(entry)
        if entry in self.running:
            self.running.remove(entry)

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        pause=st.sampled_from([0.0, 1.0, 7.0]),
        hold=st.sampled_from([0.0, 0.0, 3.0]),
        least=st.sampled_from([0.0, 0.0, 1.0, 9.0]),
    )
    def finish(self, data: st.DataObject, pause: float, hold: float, least: float) -> None:
        entry = data.draw(st.sampled_from(self.running))
        self.running.remove(entry)
        self.schedule.finished(entry, self.now, pause, hold=hold, least=least)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for entry in self.schedule.take(self.now):
            assert entry not in self.running
            assert entry in self.entries
            self.running.append(entry)
        wake = self.schedule.wake()
        assert wake is None or wake > self.now

    @invariant()
    def bounds(self) -> None:
        for lane in self.lanes:
            assert lane.running == sum(entry.lane is lane for entry in self.running) <= lane.slots

    def teardown(self) -> None:
        for _ in range(2 * len(self.entries) + 2):
            self.now += 10.0
            for entry in tuple(self.running):
                self.running.remove(entry)
                self.schedule.finished(entry, self.now, 1e9)
            self.running += self.schedule.take(self.now)
        assert not self.running
        assert all(entry.state == "waiting" for entry in self.entries), "everybody had a turn"


TestPlay = Play.TestCase
TestPlay.settings = settings(max_examples=60, stateful_step_count=40)
