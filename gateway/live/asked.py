"""A REST request inside the gateway: the server's side of it, in memory.

The application is asked as any server would ask it, so routes, rules, limits and books are those of REST. What
answers without messages (`HttpExchange.take`) costs no task here either; what does not is run as one. The answer is
collected up to a limit; an error of the gateway's own becomes a ClientError again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from msgspec import Raw

from gateway.core.asgi import Headers, Message, Receive, Scope, Send
from gateway.core.formats import Format
from gateway.core.settings import Route
from gateway.errors import ClientError
from gateway.live.flow import Flow

Spawn: TypeAlias = Callable[[Coroutine[object, object, None], str], "asyncio.Task[None]"]
Then: TypeAlias = "Callable[[Asked, Exception | None], None]"
Application: TypeAlias = Callable[[Scope, Receive, Send, Route], Awaitable[None]]


class Asked:
    """One request, and then its `status`, `headers` and `body`; of the extension `tidegate.wire` what requests use.

    `then` is told once of its end, with the error if it failed, unless it was cancelled. `notes` and `whole` are as
    in `HttpExchange`, for who makes it to set: what is not `whole` is answered by a task, which can be cancelled.
    """

    __slots__ = (
        "_begun",
        "_flow",
        "_form",
        "_given",
        "_gone",
        "_limit",
        "_made",
        "_parts",
        "_problem",
        "_request",
        "_size",
        "_spawn",
        "_taken",
        "_task",
        "headers",
        "notes",
        "raw_headers",
        "status",
        "then",
        "trailers",
        "whole",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - one for each request: to pass them one by one is the cheapest
        self, headers: Headers, body: bytes, limit: int, flow: Flow, form: Format, spawn: Spawn, then: Then
    ) -> None:
        self.raw_headers = headers
        self.trailers: Headers = []
        self.notes: dict[object, bytes] = {}
        self.whole = not body
        self.then = then
        self.status = 0
        self.headers: Headers = []
        self._made: dict[object, Any] = {}  # of the answer's headers, as long as the backend repeats them
        self._request = body
        self._begun = self._given = self._taken = self._gone = False
        self._limit = limit
        self._flow = flow
        self._form = form
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None
        self._parts: list[bytes] = []
        self._problem: tuple[str, str] | None = None
        self._size = 0

    @property
    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    @property
    def fields(self) -> tuple[Raw, bool]:
        """The answer's headers as the message has them, and whether they call its body JSON."""
        fields: tuple[Raw, bool] | None = self._made.get(self._form)
        if fields is None:
            fields = self._made[self._form] = self._form.headers(self.headers)
        return fields

    def give_up(self, then: Then) -> bool:
        """Stop it. False where that can't be done: its upstream has been asked, and `then` hears of the answer."""
        self._gone = True
        if self._task is None:
            self.then = then
            return False
        self.then = _nobody
        if self._begun:
            self._task.cancel()
        return True

    # What the application sees.

    async def receive(self) -> Message:
        if self._gone:
            return {"type": "http.disconnect"}
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._request, "more_body": False}
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # who gives up cancels

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._problem = message.get("tidegate.problem")
            self._begin(message["status"], message["headers"])
        elif message["type"] == "http.response.body" and message.get("body"):
            self._take(bytes(message["body"]))
            if message.get("more_body") and not self._flow.open:
                await self._flow.room()  # the client does not read: neither do we

    def take(self) -> None:
        self._taken = True

    def carry(self, answer: Awaitable[None], /) -> None:
        self._taken = False
        self._task = self._spawn(self._run(answer), "a session's request")

    def answer(self, status: int, headers: Headers, body: bytes, notes: dict[object, Any], reason: bytes, /) -> None:
        wrong = None
        try:
            self._made = notes
            self._begin(status, headers)
            self._take(body)
        except ClientError as error:
            wrong = error
        self.then(self, wrong)

    def informational(self, status: int, headers: Headers, /) -> None:
        """Sessions have no word for it."""

    def start(self, application: Application, scope: Scope, session: Route) -> None:
        """Ask the application, and run what it returns unless it has taken the request over."""
        try:
            answer = application(scope, self.receive, self.send, session)
        except Exception as error:
            self.then(self, error)
        else:
            if not self._taken:
                self.carry(answer)

    async def _run(self, answer: Awaitable[None]) -> None:
        task = self._task
        if self._gone and task is not None:
            task.cancel()  # not sooner: what has never begun can't put its books in order
        self._begun = True
        try:
            await answer
        except Exception as error:
            self.then(self, error)
            return
        except asyncio.CancelledError:
            if self._gone:
                self.then(self, None)
            raise
        if self._taken:
            self._task = None  # nothing is left to cancel: it will be answered
        else:
            self.then(self, ClientError(self.status, *self._problem) if self._problem is not None else None)

    def _begin(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers
        if self._form in self._made:
            return  # they were looked at before
        for name, value in headers:
            if name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream"):
                raise ClientError(502, "stream", "the answer is an event stream, which has no end; subscribe instead")

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise ClientError(
                502, "too_big", f"the answer has more than {self._limit} bytes, the limit of this session"
            )
        self._parts.append(data)


def _nobody(asked: Asked, error: Exception | None) -> None:
    """Of what was cancelled nobody hears."""
