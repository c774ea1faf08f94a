"""What the shop deals in, and what its clients may send.

The types are the rules: a body that decodes is a body the shop can store. Text is printable and
bounded, numbers fit SQLite, unknown fields are mistakes. Prices are in cents.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Text = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\A[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*\S)?\Z")]
Size = Literal["XS", "S", "M", "L", "XL", "XXL"]
Cents = Annotated[int, Meta(ge=0, le=1_000_000)]
Stock = Annotated[int, Meta(ge=0, le=100_000)]
Quantity = Annotated[int, Meta(ge=1, le=100)]
Id = Annotated[int, Meta(ge=1, le=2**53)]
Status = Literal["open", "paid", "shipped", "cancelled"]
Secret = Annotated[str, Meta(max_length=200)]


class Shirt(Struct, frozen=True, kw_only=True):
    id: int
    name: str
    size: str
    colour: str
    price: int
    stock: int


class Order(Struct, frozen=True, kw_only=True):
    """`placed` is UTC in ISO 8601. Whose it is stays inside: users see only their own."""

    id: int
    shirt_id: int
    quantity: int
    status: Status
    placed: str


class ShirtForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole shirt (POST, PUT). `id` may come along as it was read, and must then be the shirt's own."""

    name: Text
    size: Size
    colour: Text
    price: Cents
    stock: Stock = 0
    id: Id | UnsetType = UNSET


class ShirtEdit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some fields of a shirt (PATCH)."""

    name: Text | UnsetType = UNSET
    size: Size | UnsetType = UNSET
    colour: Text | UnsetType = UNSET
    price: Cents | UnsetType = UNSET
    stock: Stock | UnsetType = UNSET
    id: Id | UnsetType = UNSET


class OrderForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    shirt_id: Id
    quantity: Quantity = 1


class OrderEdit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Status


class Credentials(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Secret
    password: Secret
