from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.shares import Full, Owner, Shares

ADA, EVE = Owner("ada"), Owner("eve")
HOUSE = Owner("orders.*", client=False)


def shares(things: int, *there: tuple[str, Owner], size: int = 1000) -> Shares:
    made = Shares(things, size)
    for name, owner in there:
        made.enter(name, owner)
        made.rest(name, empty=name.startswith("empty"))
    return made


def test_where_there_is_room_nothing_makes_any() -> None:
    made = shares(3, ("a", ADA), ("b", ADA))
    assert made.place_for(EVE) is None
    assert made.room_for("a") is None
    assert repr(made) == "<Shares accounts=1 things=2 bytes=0>"


def test_the_empty_goes_before_what_is_worth_something_and_the_oldest_first() -> None:
    made = shares(4, ("a", ADA), ("b", ADA), ("empty.1", ADA), ("empty.2", ADA))
    gone = []
    while (name := made.place_for(ADA)) is not None:
        made.leave(name, 0)
        gone.append(name)
        made.enter(f"new{len(gone)}", ADA)
        if len(gone) == 4:
            break
    assert gone == ["empty.1", "empty.2", "a", "b"]
    with pytest.raises(Full):
        made.place_for(ADA)


def test_who_has_more_than_an_equal_share_gives_and_else_who_has_most() -> None:
    made = shares(4, ("e1", EVE), ("e2", EVE), ("e3", EVE), ("a", ADA))
    assert made.place_for(EVE) == "e1"
    assert made.place_for(ADA) == "e1"
    assert made.place_for(Owner("new")) == "e1"


def test_the_house_makes_no_room_for_clients_and_clients_do_for_the_house() -> None:
    made = shares(10, *((f"h{number}", HOUSE) for number in range(8)), ("a", ADA), ("b", EVE))
    assert made.place_for(EVE) in ("a", "b")
    assert made.place_for(HOUSE) == "h0", "it has more than an equal share itself"
    assert made.place_for(Owner("chat.*", client=False)) in ("a", "b")
    for name in ("a", "b"):
        made.use(name)
    with pytest.raises(Full):
        made.place_for(EVE)
    assert made.place_for(HOUSE) == "h0"


def test_the_house_leaves_a_tenth() -> None:
    made = shares(10, *((f"h{number}", HOUSE) for number in range(9)))
    assert made.place_for(HOUSE) == "h0"
    assert made.place_for(ADA) is None
    for number in range(9):
        made.use(f"h{number}")
    assert made.place_for(HOUSE) is None, "there is room, if nothing that could make some"


def test_bytes_are_given_by_who_has_most_of_them_but_never_by_who_needs_them() -> None:
    made = shares(10, ("a", ADA), ("e1", EVE), ("e2", EVE), size=100)
    for name, size in (("a", 10), ("e1", 50), ("e2", 60)):
        made.weigh(name, size)
    assert made.room_for("e1") == "e2"
    assert made.room_for("a") == "e1"
    made.leave("e2", 60)
    assert made.bytes == 60
    assert made.room_for("e1") is None


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens: the sums are right, what makes room is unused, and never the house's for a client."""

    names = st.sampled_from("abcdefgh")
    owners = st.sampled_from([ADA, EVE, HOUSE, Owner("chat.*", client=False)])

    def __init__(self) -> None:
        super().__init__()
        self.shares = Shares(5, 100)
        self.used: dict[str, bool] = {}
        self.sizes: dict[str, int] = {}

    @rule(name=names, owner=owners)
    def enter(self, name: str, owner: Owner) -> None:
        if name in self.used:
            return
        try:
            while (other := self.shares.place_for(owner)) is not None:
                assert not self.used[other]
                assert not owner.client or self.shares.owner(other).client
                self.go(other)
        except Full:
            assert len(self.used) == 5
            return
        assert len(self.used) < 5
        self.shares.enter(name, owner)
        self.used[name], self.sizes[name] = True, 0

    @precondition(lambda self: self.used)
    @rule(data=st.data(), used=st.booleans(), empty=st.booleans())
    def turn(self, data: st.DataObject, used: bool, empty: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.used)))
        self.shares.use(name) if used else self.shares.rest(name, empty=empty)
        self.used[name] = used

    @precondition(lambda self: self.used)
    @rule(data=st.data(), size=st.integers(1, 60))
    def grow(self, data: st.DataObject, size: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.used)))
        try:
            while (other := self.shares.room_for(name)) is not None:
                assert other != name
                assert not self.used[other]
                self.go(other)
        except Full:
            return
        self.shares.weigh(name, size)
        self.sizes[name] += size

    @precondition(lambda self: self.used)
    @rule(data=st.data(), owner=owners)
    def hand_over(self, data: st.DataObject, owner: Owner) -> None:
        name = data.draw(st.sampled_from(sorted(self.used)))
        self.shares.hand_over(name, self.sizes[name], owner)
        self.used[name] = True
        assert self.shares.owner(name) == owner

    def go(self, name: str) -> None:
        self.shares.leave(name, self.sizes.pop(name))
        del self.used[name]

    @invariant()
    def sums(self) -> None:
        assert self.shares.bytes == sum(self.sizes.values())
        accounts = [*self.shares._clients.values(), *self.shares._house.values()]
        assert sum(account.things for account in accounts) == len(self.used)
        assert all(account.things for account in accounts)
        assert sum(account.bytes for account in accounts) == self.shares.bytes
        unused = {name for account in accounts for name in (*account.empty, *account.worth)}
        assert unused == {name for name, used in self.used.items() if not used}


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=30)
