"""Logging in, by cookie for browsers and by bearer token for programs; and who is asking."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec
from starlette.responses import RedirectResponse, Response

from gateway.demo.accounts import LIFETIME, Accounts, fits
from gateway.demo.models import Credentials
from gateway.demo.replies import Refusal, content_type, read_body, read_form, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

COOKIE = "session"
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}

_FORM = "application/x-www-form-urlencoded"


class Logins:
    """`clock` gives seconds since 1970."""

    def __init__(self, accounts: Accounts, clock: Callable[[], float]) -> None:
        self._accounts = accounts
        self._clock = clock

    def user(self, request: Request) -> str:
        """Who is asking, by Authorization header or else by cookie; 401 when nobody."""
        user = self._accounts.user(_token(request), self._clock())
        if user is None:
            raise Refusal(401, "unauthenticated", "log in first", {"WWW-Authenticate": 'Bearer realm="shop"'})
        return user

    async def me(self, request: Request) -> Response:
        return show(request, {"user": self.user(request)}, headers=PRIVATE)

    async def login(self, request: Request) -> Response:
        """Sets the session cookie. A form comes from a page, so that it is sent back to one."""
        from_page = content_type(request) == _FORM
        credentials = _from_form(await read_body(request)) if from_page else await read_form(request, Credentials)
        token = await self._open(credentials)
        response = (
            RedirectResponse("/", 303) if from_page else show(request, {"user": credentials.user}, headers=PRIVATE)
        )
        response.set_cookie(COOKIE, token, max_age=int(LIFETIME), httponly=True, samesite="lax")
        return response

    async def logout(self, request: Request) -> Response:
        self._accounts.close(_token(request))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return response

    async def token(self, request: Request) -> Response:
        token = await self._open(await read_form(request, Credentials))
        answer = {"access_token": token, "token_type": "bearer", "expires_in": int(LIFETIME)}
        return show(request, answer, headers={"Cache-Control": "no-store"})

    async def _open(self, credentials: Credentials) -> str:
        secret = self._accounts.secret(credentials.user)
        if not await asyncio.to_thread(fits, credentials.password, secret):
            raise Refusal(401, "bad_credentials", "no such user and password")
        return self._accounts.open(credentials.user, self._clock())


def _token(request: Request) -> str:
    authorization = request.headers.get("authorization")
    if authorization is None:
        return request.cookies.get(COOKIE, "")
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _from_form(body: bytes) -> Credentials:
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
        return msgspec.convert(fields, Credentials)
    except ValueError as error:
        raise Refusal(400, "bad_body", str(error)) from error
