"""Whose the named things of one table are, and which of them makes room when all that there is is taken.

Rules:
* Each is on the account of its first user: a client's, or one of the house's own.
* Only what nobody uses makes room: what is empty before what is worth something, the one unused longest first.
* Who has more than an equal share gives up its own; otherwise the account that has most does.
* The house never makes room for a client, nor takes all that there is: the rest is for clients, whatever happens.

Pure, and no search but over the accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

# Of all room: the house is what the operator has set up, and wants to be kept; but clients have to find some as well.
_FOR_HOUSE = 0.9


class Full(Exception):
    """There is no room, and nothing that makes some."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A client by who it is, or all of an address where nobody knows that (`crowd`), or a part of the house."""

    name: str
    client: bool = True
    crowd: bool = False


@dataclass(slots=True)
class _Account:
    """`empty` and `worth` are the names of what nobody uses, the one unused longest first."""

    owner: Owner
    things: int = 0
    bytes: int = 0
    empty: dict[str, None] = field(default_factory=dict)
    worth: dict[str, None] = field(default_factory=dict)


class Shares:
    """All accounts of a table of so many `things` and `bytes`."""

    def __init__(self, things: int, size: int) -> None:
        self._most_things = things
        self._most_bytes = size
        self._clients: dict[Owner, _Account] = {}
        self._house: dict[Owner, _Account] = {}
        self._of: dict[str, _Account] = {}
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Shares accounts={len(self._clients) + len(self._house)} things={len(self._of)} bytes={self.bytes}>"

    def owner(self, name: str) -> Owner:
        """Whose it is."""
        return self._of[name].owner

    def enter(self, name: str, owner: Owner) -> None:
        """Somebody uses a new thing."""
        account = self._accounts(owner).setdefault(owner, _Account(owner))
        account.things += 1
        self._of[name] = account

    def use(self, name: str) -> None:
        """Somebody uses it."""
        account = self._of[name]
        account.empty.pop(name, None)
        account.worth.pop(name, None)

    def rest(self, name: str, *, empty: bool) -> None:
        """Nobody uses it from now on."""
        self.use(name)
        account = self._of[name]
        (account.empty if empty else account.worth)[name] = None

    def weigh(self, name: str, change: int) -> None:
        """It has so many bytes more."""
        self._of[name].bytes += change
        self.bytes += change

    def leave(self, name: str, size: int) -> None:
        """It is gone, with so many bytes."""
        self.use(name)
        self.weigh(name, -size)
        account = self._of.pop(name)
        account.things -= 1
        if not account.things:
            del self._accounts(account.owner)[account.owner]

    def hand_over(self, name: str, size: int, owner: Owner) -> None:
        """It is another's from now on, and in use."""
        self.leave(name, size)
        self.enter(name, owner)
        self.weigh(name, size)

    def place_for(self, owner: Owner) -> str | None:
        """What has to make room before another thing of this owner comes, None when there is room; raises Full."""
        return self._room(owner, _things, len(self._of), self._most_things, _any_unused)

    def room_for(self, name: str) -> str | None:
        """What has to make room before this thing grows, None when there is room; raises Full."""
        owner = self.owner(name)
        return self._room(owner, _bytes, self.bytes, self._most_bytes + 1, lambda one: _worth_but(name, one))

    def _room(
        self,
        owner: Owner,
        size: Callable[[_Account], int],
        taken: int,
        most: int,
        give: Callable[[_Account], str | None],
    ) -> str | None:
        full = taken >= most
        alone = not owner.client and sum(map(size, self._house.values())) >= most * _FOR_HOUSE
        if not full and not alone:
            return None
        own = self._accounts(owner).get(owner)
        if own is not None and size(own) > taken / (len(self._clients) + len(self._house)):
            given = give(own)
            if given is not None:
                return given
        for accounts in self._givers(owner, alone):
            able = [account for account in accounts if give(account) is not None]
            if able:
                return give(max(able, key=size))
        if full:
            raise Full
        return None

    def _givers(self, owner: Owner, alone: bool) -> Iterable[Iterable[_Account]]:
        """The accounts that may have to give something up, those that come first before the others."""
        if not alone:
            yield self._clients.values()
        if not owner.client:
            yield self._house.values()

    def _accounts(self, owner: Owner) -> dict[Owner, _Account]:
        return self._clients if owner.client else self._house


def _things(account: _Account) -> int:
    return account.things


def _bytes(account: _Account) -> int:
    return account.bytes


def _any_unused(account: _Account) -> str | None:
    return next(iter(account.empty), None) or next(iter(account.worth), None)


def _worth_but(name: str, account: _Account) -> str | None:
    return next((one for one in account.worth if one != name), None)
