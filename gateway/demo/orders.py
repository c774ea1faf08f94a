"""`/api/orders`: what one has ordered oneself; nobody else's orders exist."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.responses import Response

from gateway.demo.logins import PRIVATE, Logins
from gateway.demo.models import Order, OrderEdit, OrderForm
from gateway.demo.replies import not_found, path_id, read_form, require_match, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from gateway.demo.store import Store


class Orders:
    """`clock` gives seconds since 1970."""

    def __init__(self, store: Store, logins: Logins, clock: Callable[[], float]) -> None:
        self._store = store
        self._logins = logins
        self._clock = clock

    async def index(self, request: Request) -> Response:
        return show(request, self._store.orders(self._logins.user(request)), headers=PRIVATE)

    async def add(self, request: Request) -> Response:
        user = self._logins.user(request)
        form = await read_form(request, OrderForm)
        placed = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
        order = self._store.add_order(user, form.shirt_id, form.quantity, placed)
        return show(request, order, status=201, headers={**PRIVATE, "Location": f"/api/orders/{order.id}"})

    async def show(self, request: Request) -> Response:
        return show(request, self._find(request), headers=PRIVATE)

    async def edit(self, request: Request) -> Response:
        self._find(request)
        wish = await read_form(request, OrderEdit)
        order = self._find(request)
        require_match(request, order)
        return show(request, self._store.move_order(order, wish.status), headers=PRIVATE)

    async def delete(self, request: Request) -> Response:
        order = self._find(request)
        require_match(request, order)
        self._store.delete_order(order)
        return Response(status_code=204)

    def _find(self, request: Request) -> Order:
        order = self._store.order(self._logins.user(request), path_id(request))
        if order is None:
            raise not_found()
        return order
