"""The shop as an ASGI application: an ordinary REST backend that pushes nothing and knows of no gateway."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.demo.accounts import USERS, Accounts
from gateway.demo.logins import Logins
from gateway.demo.orders import Orders
from gateway.demo.replies import Refusal, refusal, whole
from gateway.demo.shirts import Shirts
from gateway.demo.store import SHIRTS, Conflict, Store

Endpoint = Callable[[Request], Awaitable[Response]]

PAGE = (
    ("/", "index.html", "text/html"),
    ("/page.css", "page.css", "text/css"),
    ("/page.js", "page.js", "text/javascript"),
)
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def seed(db: sqlite3.Connection) -> None:
    """Fill a new shop with its shirts and its two users; leaves a shop that has users alone."""
    if db.execute("SELECT 1 FROM users").fetchone():
        return
    store, accounts = Store(db), Accounts(db)
    for shirt in SHIRTS:
        store.add_shirt(shirt)
    for name, password in USERS.items():
        accounts.add(name, password)


def create_app(db: sqlite3.Connection, clock: Callable[[], float]) -> Starlette:
    """The application; it uses `db` from the thread of its event loop only."""
    store = Store(db)
    logins = Logins(Accounts(db), clock)
    shirts, orders = Shirts(store), Orders(store, logins, clock)
    app = Starlette(
        routes=[
            *(_asset(path, name, media_type) for path, name, media_type in PAGE),
            _resource("/api/shirts", GET=shirts.index, POST=shirts.add),
            _resource(
                "/api/shirts/{id}",
                GET=shirts.show,
                PUT=shirts.replace,
                PATCH=shirts.edit,
                DELETE=shirts.delete,
            ),
            _resource("/api/orders", GET=orders.index, POST=orders.add),
            _resource("/api/orders/{id}", GET=orders.show, PATCH=orders.edit, DELETE=orders.delete),
            _resource("/api/me", GET=logins.me),
            _resource("/api/token", POST=logins.token),
            _resource("/login", POST=logins.login),
            _resource("/logout", POST=logins.logout),
        ],
        exception_handlers={
            Refusal: _refused,
            Conflict: _conflict,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
            sqlite3.OperationalError: _busy,
        },
    )
    app.router.redirect_slashes = False
    return app


def _resource(path: str, **endpoints: Endpoint) -> Route:
    """One route for all methods of a path, so that 405 names every one of them."""

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await endpoints[method](request)

    return Route(path, answer, methods=list(endpoints))


def _asset(path: str, name: str, media_type: str) -> Route:
    body = (files("gateway.demo") / "page" / name).read_bytes()

    async def answer(request: Request) -> Response:
        return whole(request, body, media_type, headers=PAGE_HEADERS)

    return _resource(path, GET=answer)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refusal(error)


async def _conflict(_: Request, error: Exception) -> Response:
    return refusal(Refusal(409, "conflict", str(error)))


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return refusal(Refusal(status, status.phrase.lower().replace(" ", "_"), status.description, error.headers))


async def _gone(_: Request, error: Exception) -> Response:
    return refusal(Refusal(400, "incomplete", "the body ended too early"))


async def _busy(_: Request, error: Exception) -> Response:
    return refusal(Refusal(503, "busy", "the shop's books are in use, try again", {"Retry-After": "1"}))
