"""A configuration, and a backend that plays answers, for the commands that try things out."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.config import load
from gateway.core.asgi import Headers
from gateway.core.event import Json
from gateway.core.http import Answer
from gateway.core.settings import Gateway

CONFIG = """\
upstreams: {shop: {url: "http://127.0.0.1:9000/v1"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {poll: , items: {key: id}}
  - path: /api/shirts/{id}
    upstream: shop
    methods: [GET]
    live: {poll: {credentials: none}}
  - path: /**
    upstream: shop
"""


def settings(folder: Path, config: str = CONFIG) -> Gateway:
    path = folder / "gateway.yaml"
    path.write_text(config)
    return load(str(path), {})


def json_answer(body: Json, status: int = 200, **headers: str) -> Answer:
    pairs = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status=status,
        headers=tuple((name.encode(), value.encode("latin-1")) for name, value in pairs.items()),
        body=msgspec.json.encode(body) if status == 200 else b"",
    )


class Played:
    """An upstream; its last answer is repeated."""

    name = "shop"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bytes, Headers]] = []

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        self.asked.append((target, headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
