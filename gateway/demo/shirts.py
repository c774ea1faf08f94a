"""`/api/shirts`: the list that everyone may read and, this being a demonstration, edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType, structs
from starlette.responses import Response

from gateway.demo.models import Shirt, ShirtEdit, ShirtForm
from gateway.demo.replies import Refusal, not_found, path_id, read_form, require_match, show

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.demo.store import Store


class Shirts:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def index(self, request: Request) -> Response:
        """`?size=` and `?colour=` narrow the list."""
        query = request.query_params
        return show(request, self._store.shirts(size=query.get("size"), colour=query.get("colour")))

    async def add(self, request: Request) -> Response:
        form = await read_form(request, ShirtForm)
        if form.id is not UNSET:
            raise Refusal(400, "bad_body", "the shop gives the id")
        shirt = self._store.add_shirt(form)
        return show(request, shirt, status=201, headers={"Location": f"/api/shirts/{shirt.id}"})

    async def show(self, request: Request) -> Response:
        return show(request, self._find(request))

    async def replace(self, request: Request) -> Response:
        return await self._edit(request, ShirtForm)

    async def edit(self, request: Request) -> Response:
        return await self._edit(request, ShirtEdit)

    async def delete(self, request: Request) -> Response:
        shirt = self._find(request)
        require_match(request, shirt)
        self._store.delete_shirt(shirt.id)
        return Response(status_code=204)

    async def _edit(self, request: Request, form: type[ShirtForm | ShirtEdit]) -> Response:
        wish = await read_form(request, form)
        shirt = self._find(request)
        require_match(request, shirt)
        changed = _changed(shirt, wish)
        self._store.put_shirt(changed)
        return show(request, changed)

    def _find(self, request: Request) -> Shirt:
        shirt = self._store.shirt(path_id(request))
        if shirt is None:
            raise not_found()
        return shirt


def _changed(shirt: Shirt, wish: ShirtForm | ShirtEdit) -> Shirt:
    given = {key: value for key, value in structs.asdict(wish).items() if not isinstance(value, UnsetType)}
    if given.get("id", shirt.id) != shirt.id:
        raise Refusal(400, "bad_body", "a shirt keeps its id")
    return structs.replace(shirt, **given)
