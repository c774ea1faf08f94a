from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from gateway.demo.models import Order, Shirt, ShirtForm, Status
from gateway.demo.store import NEXT, SHIRTS, Conflict, Store, connect

GULL = ShirtForm(name="Gull", size="M", colour="white", price=1900, stock=3)


def stock(store: Store, shirt_id: int) -> int:
    shirt = store.shirt(shirt_id)
    assert shirt is not None
    return shirt.stock


def test_it_is_seeded_in_order(store: Store) -> None:
    assert [shirt.id for shirt in store.shirts()] == list(range(1, len(SHIRTS) + 1))


def test_shirts_can_be_narrowed(store: Store) -> None:
    assert {shirt.size for shirt in store.shirts(size="M")} == {"M"}
    assert [(shirt.name, shirt.colour) for shirt in store.shirts(size="L", colour="tomato")] == [
        ("Lighthouse", "tomato")
    ]
    assert store.shirts(size="' OR 1=1 --") == []


def test_an_added_shirt_reads_as_it_was_written(store: Store) -> None:
    shirt = store.add_shirt(GULL)
    assert shirt == Shirt(id=len(SHIRTS) + 1, name="Gull", size="M", colour="white", price=1900, stock=3)
    assert store.shirt(shirt.id) == shirt


def test_a_deleted_id_is_not_given_again(store: Store) -> None:
    first = store.add_shirt(GULL)
    store.delete_shirt(first.id)
    assert store.shirt(first.id) is None
    assert store.add_shirt(GULL).id == first.id + 1


def test_two_shirts_cannot_be_the_same(store: Store) -> None:
    shirt = store.add_shirt(GULL)
    with pytest.raises(Conflict, match="name, size and colour"):
        store.add_shirt(GULL)
    other = store.add_shirt(structs.replace(GULL, size="L"))
    with pytest.raises(Conflict, match="name, size and colour"):
        store.put_shirt(structs.replace(other, size="M"))
    assert store.shirt(other.id) == other
    assert store.shirt(shirt.id) == shirt


def test_an_order_takes_from_the_stock(store: Store) -> None:
    before = stock(store, 1)
    order = store.add_order("ada", 1, 2, "2027-01-15T08:00:00+00:00")
    assert order == Order(id=1, shirt_id=1, quantity=2, status="open", placed="2027-01-15T08:00:00+00:00")
    assert store.orders("ada") == [order]
    assert stock(store, 1) == before - 2


def test_what_is_not_in_stock_cannot_be_ordered(store: Store) -> None:
    with pytest.raises(Conflict, match="in stock"):
        store.add_order("ada", 1, stock(store, 1) + 1, "")
    with pytest.raises(Conflict, match="no such shirt"):
        store.add_order("ada", 999, 1, "")
    assert store.orders("ada") == []


def test_orders_are_their_owners_alone(store: Store) -> None:
    order = store.add_order("ada", 1, 1, "")
    assert store.order("ada", order.id) == order
    assert store.order("grace", order.id) is None
    assert store.orders("grace") == []


def test_a_shirt_on_order_cannot_be_deleted(store: Store) -> None:
    order = store.add_order("ada", 1, 1, "")
    with pytest.raises(Conflict, match="orders of this shirt"):
        store.delete_shirt(1)
    store.delete_order(order)
    store.delete_shirt(1)
    assert store.shirt(1) is None


@pytest.mark.parametrize(("was", "becomes"), [(was, becomes) for was in NEXT for becomes in NEXT if was != becomes])
def test_orders_move_only_forward(store: Store, was: Status, becomes: Status) -> None:
    order = structs.replace(store.add_order("ada", 1, 1, ""), status=was)
    if becomes in NEXT[was]:
        assert store.move_order(order, becomes).status == becomes
        assert store.orders("ada")[0].status == becomes
    else:
        with pytest.raises(Conflict, match=f"is {was} cannot become {becomes}"):
            store.move_order(order, becomes)


@pytest.mark.parametrize("paid", [False, True])
def test_a_cancelled_order_gives_its_shirts_back_once(store: Store, paid: bool) -> None:
    before = stock(store, 1)
    order = store.add_order("ada", 1, 3, "")
    if paid:
        order = store.move_order(order, "paid")
    cancelled = store.move_order(order, "cancelled")
    assert stock(store, 1) == before
    store.move_order(cancelled, "cancelled")
    store.delete_order(cancelled)
    assert stock(store, 1) == before


def test_a_shipped_order_keeps_its_shirts_and_stays(store: Store) -> None:
    before = stock(store, 1)
    order = store.move_order(store.move_order(store.add_order("ada", 1, 3, ""), "paid"), "shipped")
    with pytest.raises(Conflict, match="on record"):
        store.delete_order(order)
    assert stock(store, 1) == before - 3


def test_a_file_keeps_the_shop(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.db")
    with closing(connect(path)) as db:
        Store(db).add_shirt(GULL)
    with closing(connect(path)) as db:
        assert [shirt.name for shirt in Store(db).shirts()] == ["Gull"]


def test_another_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("nothing to do with a shop\n" * 40)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        connect(str(path))
    assert path.read_text().startswith("nothing to do")
