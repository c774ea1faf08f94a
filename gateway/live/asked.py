"""A REST request inside the gateway: the server's side of it, in memory.

The application is asked as any server would ask it, so routes, rules, limits and books are those of REST. What
answers without messages (`HttpExchange.take`) costs no task here either; what does not is run as one. The answer is
collected up to a limit; an error of the gateway's own becomes a ClientError again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from msgspec import Raw

from gateway.core.asgi import Headers, Message, Receive, Scope, Send
from gateway.core.formats import Format
from gateway.core.messages import Id
from gateway.core.settings import Route
from gateway.errors import ClientError
from gateway.live.flow import Flow

Spawn: TypeAlias = Callable[[Coroutine[object, object, None], str], "asyncio.Task[None]"]
Then: TypeAlias = "Callable[[Asked, Exception | None], None]"
Application: TypeAlias = Callable[[Scope, Receive, Send, Route], Awaitable[None]]

_NO_HEADERS: Headers = []


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asker:
    """What the requests of one session have in common.

    `spawn` runs what needs a task, and `then` is told once of the end of each, with the error if it failed, unless it
    was cancelled.
    """

    form: Format
    flow: Flow
    spawn: Spawn
    then: Then


class Asked:
    """One request, and then its `status`, `headers` and `body`; of the extension `tidegate.wire` what requests use.

    `limit` is what its answer may have, in bytes; `due`, by when that has to be whole, is for who makes it to know.
    `notes` and `whole` are as in `HttpExchange`, and theirs to set: what is not `whole` is answered by a task, which
    can be cancelled.
    """

    __slots__ = (
        "_asker", "_begun", "_given", "_gone", "_limit", "_made", "_parts", "_problem", "_request", "_size", "_taken",
        "_task", "_then", "body", "due", "headers", "id", "notes", "raw_headers", "status", "trailers", "whole",
    )  # fmt: skip

    def __init__(self, asker: Asker, answer_to: Id, headers: Headers, body: bytes, limit: int, due: float) -> None:
        self.id = answer_to
        self.due = due
        self.raw_headers = headers
        self.trailers = self.headers = _NO_HEADERS
        self.notes: dict[object, Any] = {}
        self.whole = not body
        self.status = 0
        self.body = b""
        self._made: dict[object, Any] | None = None  # of the answer's headers, as long as the backend repeats them
        self._request = body
        self._begun = self._given = self._taken = self._gone = False
        self._limit = limit
        self._asker = asker
        self._then = asker.then
        self._task: asyncio.Task[None] | None = None
        self._parts: list[bytes] = []
        self._problem: tuple[str, str] | None = None
        self._size = 0

    @property
    def fields(self) -> tuple[Raw, bool]:
        """The answer's headers as the message has them, and whether they call its body JSON."""
        form, made = self._asker.form, self._made
        if made is None:
            return form.headers(self.headers)
        fields: tuple[Raw, bool] | None = made.get(form)
        if fields is None:
            fields = made[form] = form.headers(self.headers)
        return fields

    def give_up(self, then: Then) -> bool:
        """Stop it. False where that can't be done: its upstream has been asked, and `then` hears of the answer."""
        self._gone = True
        if self._task is None:
            self._then = then
            return False
        self._then = _nobody
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
            self.status, self.headers = message["status"], message["headers"]
            if _is_stream(self.headers):
                raise _endless()
        elif message["type"] == "http.response.body" and message.get("body"):
            self._take(bytes(message["body"]))
            if message.get("more_body") and not self._asker.flow.open:
                await self._asker.flow.room()  # the client does not read: neither do we

    def take(self) -> None:
        self._taken = True

    def carry(self, answer: Awaitable[None], /) -> None:
        self._taken = False
        self._task = self._asker.spawn(self._run(answer), "a session's request")

    def answer(self, status: int, headers: Headers, body: bytes, notes: dict[object, Any], reason: bytes, /) -> None:
        self._made, self.status, self.headers, self.body = notes, status, headers, body
        wrong = self._too_big() if len(body) > self._limit else None
        if self._asker.form not in notes and _is_stream(headers):  # else they were looked at before
            wrong = _endless()
        self._then(self, wrong)

    def informational(self, status: int, headers: Headers, /) -> None:
        """Sessions have no word for it."""

    def start(self, application: Application, scope: Scope, session: Route) -> None:
        """Ask the application, and run what it returns unless it has taken the request over."""
        try:
            answer = application(scope, self.receive, self.send, session)
        except Exception as error:
            self._then(self, error)
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
            self._then(self, error)
            return
        except asyncio.CancelledError:
            if self._gone:
                self._then(self, None)
            raise
        if self._taken:
            self._task = None  # nothing is left to cancel: it will be answered
        else:
            self.body = b"".join(self._parts)
            self._then(self, ClientError(self.status, *self._problem) if self._problem is not None else None)

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise self._too_big()
        self._parts.append(data)

    def _too_big(self) -> ClientError:
        return ClientError(502, "too_big", f"the answer has more than {self._limit} bytes, the limit of this session")


def _is_stream(headers: Headers) -> bool:
    """Whether an answer with these headers has no end."""
    kinds = (value.lower() for name, value in headers if name.lower() == b"content-type")
    return any(kind.startswith(b"text/event-stream") for kind in kinds)


def _endless() -> ClientError:
    return ClientError(502, "stream", "the answer is an event stream, which has no end; subscribe instead")


def _nobody(asked: Asked, error: Exception | None) -> None:
    """Of what was cancelled nobody hears."""
