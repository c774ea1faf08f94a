"""A session whose client shows its token in the first message, where its route allows that: not all can in a handshake.

Until it has, it is nobody's: it has a deadline, hears nothing but a refusal, and costs its connection and no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import TypeAlias

from gateway.core.asgi import Message, Receive, Scope, Send
from gateway.core.codes import BAD_MESSAGE
from gateway.core.credentials import with_token
from gateway.core.formats import Format, Misread, Unintelligible
from gateway.core.http import HANDSHAKE, IDENTITY, Handshake, Request
from gateway.core.identity import Identity
from gateway.core.messages import Auth, Error, ServerMessage
from gateway.core.settings import Route
from gateway.errors import ClientError
from gateway.live.follower import fault_of
from gateway.live.race import race

Known: TypeAlias = Callable[[Route, Request], Awaitable[tuple[str, Identity]]]


class Stranger:
    """A client that has shown nothing yet."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, form: Format) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._form = form

    async def shown(self, route: Route, known: Known, patience: Coroutine[object, object, object]) -> Auth | None:
        """Wait for its token; the scope then is as if the handshake had brought it. `patience` raises when it ends.

        None when it has gone. Raises ClientError when it is not let in; it has been told then, and sent away.
        """
        try:
            auth = await self._first(patience)
            if auth is not None:
                await self._let_in(auth, route, known)
        except ClientError as error:
            await self._send({"type": "websocket.close", "code": error.close_code, "reason": error.detail})
            raise
        return auth

    async def _first(self, patience: Coroutine[object, object, object]) -> Auth | None:
        heard: list[Message] = []

        async def hear() -> None:
            heard.append(await self._receive())

        await race(hear(), patience)
        [message] = heard
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        try:
            said = self._form.decode(text if text is not None else message["bytes"])
        except (Misread, Unintelligible) as error:
            raise ClientError(400, "bad_message", str(error), close_code=BAD_MESSAGE.code) from None
        if not isinstance(said, Auth):
            raise ClientError(401, "unauthenticated", "the first message has to show a token: an auth")
        return said

    async def _let_in(self, auth: Auth, route: Route, known: Known) -> None:
        handshake: Handshake = self._scope[HANDSHAKE]
        try:
            request = replace(handshake.request, headers=tuple(with_token(handshake.request.headers, auth.token)))
            by, self._scope[IDENTITY] = await known(route, request)
        except ClientError as error:
            await self._say(Error(fault_of(error), id=auth.id))
            raise
        self._scope[HANDSHAKE] = Handshake(by, request)
        self._scope["headers"] = with_token(self._scope["headers"], auth.token)

    async def _say(self, message: ServerMessage) -> None:
        data = self._form.encode(message)
        said: Message = {"bytes": data} if self._form.binary else {"text": data.decode()}
        await self._send({"type": "websocket.send", **said})
