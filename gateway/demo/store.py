"""The shop's stock and orders in SQLite: every rule about them that needs to see the data.

One connection, used from one thread, a transaction for each change: what a method reads it may
rely on until it returns. Absent things are None; what the data forbids is a Conflict.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import convert, structs

from gateway.demo.models import Order, Shirt, ShirtForm, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = """
CREATE TABLE shirts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, size TEXT NOT NULL, colour TEXT NOT NULL,
  price INTEGER NOT NULL CHECK (price >= 0), stock INTEGER NOT NULL CHECK (stock >= 0),
  UNIQUE (name, size, colour)
);
CREATE TABLE users (name TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE sessions (hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users, expires REAL NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL REFERENCES users,
  shirt_id INTEGER NOT NULL REFERENCES shirts, quantity INTEGER NOT NULL,
  status TEXT NOT NULL, placed TEXT NOT NULL
);
CREATE INDEX orders_of_user ON orders (user);
PRAGMA user_version = 1;
"""

SHIRTS = (
    ShirtForm(name="Heron", size="S", colour="steelblue", price=1900, stock=12),
    ShirtForm(name="Heron", size="M", colour="steelblue", price=1900, stock=7),
    ShirtForm(name="Lighthouse", size="L", colour="tomato", price=2400, stock=3),
    ShirtForm(name="Driftwood", size="M", colour="tan", price=2150, stock=18),
    ShirtForm(name="Spring tide", size="XL", colour="seagreen", price=2600, stock=5),
    ShirtForm(name="Night ferry", size="M", colour="midnightblue", price=2900, stock=9),
    ShirtForm(name="Salt", size="XS", colour="whitesmoke", price=1700, stock=0),
)

# What may follow what. Cancelling gives the stock back, so nothing follows it.
NEXT: dict[Status, tuple[Status, ...]] = {
    "open": ("paid", "cancelled"),
    "paid": ("shipped", "cancelled"),
    "shipped": (),
    "cancelled": (),
}


class Conflict(Exception):
    """The change contradicts what is stored; the message is fit for the client."""


def connect(path: str) -> sqlite3.Connection:
    """Open a shop's database; an empty or new one gets its tables. Raises sqlite3.Error for anything else."""
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    try:
        db.execute("PRAGMA foreign_keys = ON")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN; {SCHEMA} COMMIT;")
    except sqlite3.Error:
        db.close()
        raise
    return db


class Store:
    """Shirts are everyone's; orders belong to a user, and to nobody else they exist."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @contextmanager
    def _change(self, contradiction: str) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.IntegrityError as error:
            raise Conflict(contradiction) from error

    def shirts(self, *, size: str | None = None, colour: str | None = None) -> list[Shirt]:
        rows = self._db.execute(
            "SELECT * FROM shirts WHERE size = coalesce(?, size) AND colour = coalesce(?, colour) ORDER BY id",
            (size, colour),
        )
        return [convert(dict(row), Shirt) for row in rows]

    def shirt(self, shirt_id: int) -> Shirt | None:
        row = self._db.execute("SELECT * FROM shirts WHERE id = ?", (shirt_id,)).fetchone()
        return convert(dict(row), Shirt) if row else None

    def add_shirt(self, form: ShirtForm) -> Shirt:
        with self._change("there is a shirt of this name, size and colour") as db:
            cursor = db.execute(
                "INSERT INTO shirts (name, size, colour, price, stock) VALUES (?, ?, ?, ?, ?)",
                (form.name, form.size, form.colour, form.price, form.stock),
            )
        fields = {key: value for key, value in structs.asdict(form).items() if key != "id"}
        return Shirt(id=cursor.lastrowid or 0, **fields)

    def put_shirt(self, shirt: Shirt) -> None:
        with self._change("there is a shirt of this name, size and colour") as db:
            db.execute(
                "UPDATE shirts SET name = ?, size = ?, colour = ?, price = ?, stock = ? WHERE id = ?",
                (shirt.name, shirt.size, shirt.colour, shirt.price, shirt.stock, shirt.id),
            )

    def delete_shirt(self, shirt_id: int) -> None:
        with self._change("there are orders of this shirt") as db:
            db.execute("DELETE FROM shirts WHERE id = ?", (shirt_id,))

    def orders(self, user: str) -> list[Order]:
        rows = self._db.execute("SELECT * FROM orders WHERE user = ? ORDER BY id", (user,))
        return [convert(dict(row), Order) for row in rows]

    def order(self, user: str, order_id: int) -> Order | None:
        row = self._db.execute("SELECT * FROM orders WHERE user = ? AND id = ?", (user, order_id)).fetchone()
        return convert(dict(row), Order) if row else None

    def add_order(self, user: str, shirt_id: int, quantity: int, placed: str) -> Order:
        """Takes the shirts out of stock, or is a Conflict."""
        with self._change("not enough of this shirt in stock") as db:
            taken = db.execute("UPDATE shirts SET stock = stock - ? WHERE id = ?", (quantity, shirt_id))
            if not taken.rowcount:
                raise Conflict("there is no such shirt")
            cursor = db.execute(
                "INSERT INTO orders (user, shirt_id, quantity, status, placed) VALUES (?, ?, ?, 'open', ?)",
                (user, shirt_id, quantity, placed),
            )
        number = cursor.lastrowid or 0
        return Order(id=number, shirt_id=shirt_id, quantity=quantity, status="open", placed=placed)

    def move_order(self, order: Order, status: Status) -> Order:
        """Put an order into its next status; cancelling gives the shirts back."""
        if status != order.status and status not in NEXT[order.status]:
            raise Conflict(f"an order that is {order.status} cannot become {status}")
        with self._db as db:
            db.execute("UPDATE orders SET status = ? WHERE id = ?", (status, order.id))
            if status == "cancelled" != order.status:
                self._give_back(order)
        return structs.replace(order, status=status)

    def delete_order(self, order: Order) -> None:
        if order.status == "shipped":
            raise Conflict("a shipped order stays on record")
        with self._db as db:
            db.execute("DELETE FROM orders WHERE id = ?", (order.id,))
            if order.status != "cancelled":
                self._give_back(order)

    def _give_back(self, order: Order) -> None:
        self._db.execute(
            "UPDATE shirts SET stock = stock + ? WHERE id = ?",
            (order.quantity, order.shirt_id),
        )
