from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.recent import Recent


def test_values_last_until_their_time_is_over() -> None:
    recent: Recent[str, int] = Recent(3)
    recent.put("a", 1, until=10.0)
    assert recent.get("a", 9.9) == 1
    assert recent.get("a", 10.0) is None
    assert len(recent) == 0


def test_the_longest_unused_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1, 9)
    recent.put("b", 2, 9)
    recent.get("a", 0)
    recent.put("c", 3, 9)
    assert [recent.get(key, 0) for key in "abc"] == [1, None, 3]
    recent.clear()
    assert len(recent) == 0


def test_what_is_printed_holds_nothing_of_it() -> None:
    recent: Recent[str, str] = Recent(2)
    recent.put("k3y", "s3cret", 1)
    assert repr(recent) == "<Recent 1 of 2>"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 20))))
def test_it_never_holds_more_and_never_tells_what_is_over(steps: list[tuple[int, int, int]]) -> None:
    recent: Recent[int, tuple[int, int]] = Recent(4)
    for key, now, until in steps:
        found = recent.get(key, now)
        assert found is None or (found[0] == key and now < found[1])
        recent.put(key, (key, until), until)
        assert len(recent) <= 4
        assert recent.get(key, until - 1) == (key, until)
        recent.put(key, (key, until), until)
