"""The `tests` of a configuration: recorded answers, and the events expected of them. `serve` has no use for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, JsonValue

from gateway.config.routes import implied, routes
from gateway.config.tree import Finding, Tree, listing, mapping
from gateway.config.values import Label, Text
from gateway.core import recorded
from gateway.core.event import EventType
from gateway.core.http import Answer
from gateway.core.route import Match, RouteTable, Template, parse_template
from gateway.errors import ClientError
from gateway.plugin.options import Options


class _Section(Options):
    model_config = ConfigDict(use_attribute_docstrings=True)


class RecordedAnswer(_Section):
    status: Annotated[int, Field(ge=200, le=599)] = 200
    """the status"""
    headers: dict[str, str] = Field(default={})
    """the headers; content-type is application/json unless given"""
    body: JsonValue = None
    """the body as JSON"""
    text: str | None = None
    """or the body as it came"""


class ExpectedEvent(_Section):
    type: EventType | Literal["refused"]
    """the event's type, or refused when the backend denies the resource"""
    data: JsonValue = None
    """its data; without the key, any"""


class RecordedStep(_Section):
    answer: RecordedAnswer | Literal["none"]
    """what the backend answers to a look, or none when it cannot be reached"""
    events: list[ExpectedEvent] = Field(default=[])
    """what a client is told then, in this order"""


class RecordedTest(_Section):
    name: Label
    """what it shows"""
    url: Text
    """what a client follows, with its query; live.mode chooses how it hears of changes"""
    headers: dict[str, str] = Field(default={})
    """the client's headers"""
    claims: dict[str, JsonValue] = Field(default={})
    """who the client is, on a route with auth"""
    steps: list[RecordedStep] = Field(min_length=1)
    """the looks at the backend, one after the other"""


def compiled(test: RecordedTest) -> recorded.Recorded:
    """The test as `tidegate test` runs it."""
    return recorded.Recorded(
        name=test.name,
        url=test.url,
        headers=test.headers,
        claims=test.claims,
        steps=tuple(
            recorded.Step(answer=_answer(step.answer), events=tuple(map(_expected, step.events))) for step in test.steps
        ),
    )


def _answer(answer: RecordedAnswer | Literal["none"]) -> Answer | None:
    if isinstance(answer, str):
        return None
    body = answer.text if answer.text is not None else json.dumps(answer.body) if _has(answer, "body") else ""
    headers = {"content-type": "application/json"} | {name.lower(): value for name, value in answer.headers.items()}
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Answer(status=answer.status, headers=pairs, body=body.encode())


def _expected(event: ExpectedEvent) -> recorded.Expected:
    return recorded.Expected(type=event.type, data=event.data, exact=_has(event, "data"))


def _has(section: Options, name: str) -> bool:
    return name in section.model_fields_set


@dataclass(frozen=True, slots=True)
class _Answering:
    path: Template
    methods: frozenset[str]
    host: str | None
    live: bool


def recordings_follow_live_routes(tree: Tree) -> Iterator[Finding]:
    """Each test's URL is answered by a live route."""
    table = RouteTable(list(_answering(tree)))
    for index, test in enumerate(listing(tree.value.get("tests"))):
        url = mapping(test).get("url")
        if not isinstance(url, str):
            continue
        parts = urlsplit(url)
        try:
            match = table.match("GET", parts.path.encode(), parts.netloc.encode() or None)
        except ClientError:
            match = None
        if not isinstance(match, Match) or not match.route.live:
            yield ("tests", index, "url"), "no live route answers this URL"


def _answering(tree: Tree) -> Iterator[_Answering]:
    for _, route in routes(tree):
        path, host = route.get("path"), route.get("host")
        try:
            template = parse_template(path if isinstance(path, str) else "")
        except ValueError:
            continue
        methods = implied([method for method in listing(route.get("methods")) if isinstance(method, str)])
        yield _Answering(template, methods, host.lower() if isinstance(host, str) else None, "live" in route)
