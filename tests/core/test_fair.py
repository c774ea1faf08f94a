from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.fair import Lines, beyond_share, give_way

CLIENTS = st.sampled_from("abcde")


def filled(words: str, most: int = 100) -> Lines[str]:
    """Items such as `a1`, of the client `a`."""
    lines: Lines[str] = Lines(most)
    for word in words.split():
        assert lines.join(word[0], word) is None
    return lines


def rest(lines: Lines[str], later: str = "") -> list[str]:
    return [lines.next(later) for _ in range(len(lines))]


def test_clients_are_served_in_turn() -> None:
    lines = filled("a1 a2 a3 a4 b1 b2 c1")
    assert lines.clients.keys() == {"a", "b", "c"}
    assert rest(lines) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    assert not lines
    assert not lines.clients


def test_who_comes_back_waits_for_the_others() -> None:
    lines = filled("a1 b1 b2")
    assert lines.next() == "a1"
    lines.join("a", "a2")
    assert rest(lines) == ["b1", "a2", "b2"]


def test_some_come_later() -> None:
    assert rest(filled("a1 a2 b1 b2 c1"), later="a") == ["b1", "c1", "b2", "a1", "a2"]


def test_who_asks_for_much_leaves_room_for_others() -> None:
    lines = filled("a1 a2 a3 b1", most=4)
    assert lines.join("a", "a4") == "a4"
    assert lines.join("c", "c1") == "a3"
    assert lines.join("b", "b2") == "b2"  # it would only take the place of one that has as much right to it
    assert len(lines) == 4
    assert sorted(lines) == ["a1", "a2", "b1", "c1"]


def test_those_who_are_late_leave() -> None:
    lines = filled("a1 a2 a9 b3 c8")
    assert lines.leave(lambda word: word[1] < "5") == ["a1", "a2", "b3"]
    assert lines.clients.keys() == {"a", "c"}
    assert len(lines) == 2
    lines.clear()
    assert (len(lines), list(lines)) == (0, [])


@given(st.lists(st.one_of(CLIENTS, st.none()), max_size=60), st.integers(1, 12))
def test_nothing_is_lost_or_invented(steps: list[str | None], most: int) -> None:
    lines: Lines[tuple[str, int]] = Lines(most)
    waiting: set[tuple[str, int]] = set()
    for number, client in enumerate(steps):
        if client is None:
            if lines:
                waiting.remove(lines.next())
        else:
            waiting.add((client, number))
            out = lines.join(client, (client, number))
            if out is not None:
                waiting.remove(out)
        assert len(lines) == len(waiting) <= most
        assert set(lines) == waiting
        assert all(lines.clients.values())


@given(st.lists(CLIENTS, min_size=1, max_size=40))
def test_nobody_waits_for_more_than_one_of_each_other_client(clients: list[str]) -> None:
    lines: Lines[str] = Lines(100)
    for client in clients:
        lines.join(client, client)
    served: Counter[str] = Counter()
    while lines:
        still = set(lines.clients)
        served[lines.next()] += 1
        assert max(served[client] for client in still) - min(served[client] for client in still) <= 1


def test_a_share_is_what_all_could_have() -> None:
    assert beyond_share(8, {"a": 8}, []) == {}
    assert beyond_share(8, {"a": 7, "b": 1}, ["a", "b"]) == {"a": 3}
    assert beyond_share(8, {"a": 8}, ["b"]) == {"a": 4}
    assert beyond_share(2, {"a": 2}, "bcdef") == {"a": 1}


def yielding(slow: list[tuple[str, float]], waiting: str, places: int = 4) -> list[int]:
    lines = filled(waiting)
    beyond = beyond_share(places, Counter(client for client, _ in slow), lines.clients)
    return give_way(slow, beyond, lines, soon=1, late=5)


def test_who_has_more_than_its_share_gives_way_soon_but_only_to_others() -> None:
    slow = [("a", 2.0), ("a", 3.0), ("a", 0.5), ("a", 1.0)]
    assert yielding(slow, "a1 a2 a3") == []
    assert yielding(slow, "a1 a2 b1") == [1]
    assert yielding(slow, "b1 b2 b3") == [1, 0]  # down to its share
    assert yielding(slow[:2], "b1") == []  # not above it


def test_in_the_end_the_slowest_give_way_to_anybody() -> None:
    slow = [("a", 6.0), ("a", 9.0), ("b", 7.0), ("c", 4.0)]
    assert yielding(slow, "a1 a2 d1 d2") == [1, 0, 2]
    assert yielding(slow, "a1") == [1]
    assert yielding([], "a1") == []


def test_who_has_more_than_its_share_goes_before_who_is_slower() -> None:
    assert yielding([("a", 2.0), ("a", 2.0), ("a", 1.5), ("b", 60.0)], "c1") == [0]
