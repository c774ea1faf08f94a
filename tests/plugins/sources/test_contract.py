"""The source contract on every built-in one."""

from __future__ import annotations

import json

from gateway.plugin import Answer, Headers, Json, Upstream
from gateway.testing.source_contract import SourceContract
from gateway.testing.stage import Stage


class Backend:
    """Answers with a document."""

    name = "shop"

    def __init__(self) -> None:
        self.document: Json = None

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        if self.document is None:
            return Answer(status=503, headers=(), body=b"")
        kind = (b"content-type", b"application/json")
        return Answer(status=200, headers=(kind,), body=json.dumps(self.document).encode())


class TestPoll(SourceContract):
    name = "poll"
    options = {"interval": "1s"}  # noqa: RUF012

    def upstream(self) -> Upstream:
        self.backend = Backend()
        return self.backend

    async def show(self, stage: Stage, document: Json) -> None:
        self.backend.document = document
        await stage.pass_time(3)
