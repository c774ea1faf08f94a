"""Deliveries: what is taken, what is refused and how, and what comes of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from gateway.core.asgi import Message, Scope
from gateway.core.event import Json
from gateway.core.position import Position
from gateway.core.route import parse_template
from gateway.core.settings import Challenge, Dedupe, Limits, Publication, Route, WebhookSettings
from gateway.errors import ClientError
from gateway.live.messages import Messages
from gateway.live.webhooks import LARGE, Reach, Webhooks
from gateway.plugin import Codec, Context, Delivery, Signature
from gateway.plugin.registry import find
from tests.live.scene import Scene

HOOK = WebhookSettings(
    verify=None,
    publish=(Publication(channel="orders.${body.id}"),),
    refresh=("/api/orders/${body.id}",),
)
JSON = (b"content-type", b"application/json")


class Word:
    """Signed is what says the word in a header."""

    def verify(self, delivery: Delivery) -> int:
        given = delivery.header(b"x-word")
        if given == b"crash":
            raise ZeroDivisionError("on request")
        if given is None:
            raise ClientError(401, "unsigned", "say the word")
        if given not in (b"new", b"old"):
            raise ClientError(401, "bad_signature", "that is not the word")
        return (b"new", b"old").index(given)

    def handshake(self, body: Json) -> Json:
        return {"hello": body["hello"]} if isinstance(body, dict) and "hello" in body else None


class Post:
    """Messages as they are published; `hold` delays them, `full` refuses them."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Json]] = []
        self.hold: asyncio.Event | None = None
        self.full = False

    async def publish(self, name: str, data: Json) -> Position:
        if self.hold is not None:
            await self.hold.wait()
        if self.full:
            raise ClientError(429, "too_many_channels", "full")
        self.published.append((name, data))
        return Position("e", len(self.published))


class Hooks:
    """One webhook route, and who sends to it."""

    def __init__(self, settings: WebhookSettings = HOOK, signature: Signature | None = None) -> None:
        self.scene = Scene()
        self.post = Post()
        self.looked: list[bytes] = []
        self.route = Route(name="hook", path=parse_template("/hook"), webhook=settings)
        json_codec = find("codecs")["json"].load()
        codec = cast("Codec", json_codec.make(json_codec.options(), Context(clock=self.scene.clock)))
        reach = Reach(messages=cast("Messages", self.post), look=self._look, decode=codec.decode)
        self.parts = replace(self.scene.live.parts, limits=Limits(messages_per_second=10_000))
        self.webhooks = Webhooks(self.parts, [self.route], {"hook": signature} if signature else {}, reach)

    def limited(self, **limits: int) -> None:
        rate = replace(self.parts, limits=Limits(**limits))
        self.webhooks = Webhooks(rate, [self.route], {}, self.webhooks._reach)

    def _look(self, path: bytes) -> int | None:
        self.looked.append(path)
        return None if path.endswith(b"nowhere") else 1

    @property
    def counted(self) -> dict[str, int]:
        return dict(self.scene.stats.routes["hook"].webhook.deliveries)

    async def send(
        self,
        body: Json | bytes = None,
        *headers: tuple[bytes, bytes],
        method: str = "POST",
        address: str = "192.0.2.1",
        **more: object,
    ) -> Sent:
        scope: Scope = {
            "type": "http",
            "method": method,
            "raw_path": b"/hook",
            "query_string": b"a=b",
            "headers": [*headers] if any(name == b"content-type" for name, _ in headers) else [JSON, *headers],
            "client": (address, 1),
            **more,
        }
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        inbox = iter([{"type": "http.request", "body": data}])
        sent: list[Message] = []

        async def receive() -> Message:
            return next(inbox, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            sent.append(message)

        await self.webhooks.serve(scope, receive, send, self.route)
        return Sent(sent)


class Sent:
    def __init__(self, messages: list[Message]) -> None:
        start, body = messages
        self.status: int = start["status"]
        self.headers: dict[bytes, bytes] = dict(start["headers"])
        self.body: bytes = body["body"]

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def signed() -> Hooks:
    return Hooks(signature=Word())


async def test_a_delivery_is_published_and_its_resource_looked_at(hooks: Hooks) -> None:
    sent = await hooks.send({"id": 7})
    assert (sent.status, json.loads(sent.body)) == (200, {"result": "accepted"})
    assert sent.headers[b"content-type"] == b"application/json"
    assert hooks.post.published == [("orders.7", {"id": 7})]
    assert hooks.looked == [b"/api/orders/7"]
    assert hooks.counted == {"accepted": 1}
    stats = hooks.scene.stats.routes["hook"]
    assert (stats.requests["POST", 200], stats.in_flight, sum(stats.seconds.counts)) == (1, 0, 1)
    assert hooks.scene.access.lines == [("request", "hook", "200")]


async def test_only_who_knows_the_word_is_heard(signed: Hooks) -> None:
    for header, status, code in (
        ((b"x-other", b"new"), 401, "unsigned"),
        ((b"x-word", b"wrong"), 401, "bad_signature"),
        ((b"x-word", b"crash"), 500, "internal"),
    ):
        sent = await signed.send({"id": 7}, header)
        assert (sent.status, sent.code) == (status, code)
        assert sent.headers[b"content-type"] == b"application/problem+json"
        assert (b"www-authenticate" in sent.headers) is (status == 401)
    assert (signed.post.published, signed.looked) == ([], [])
    for word in (b"new", b"old", b"old"):
        assert (await signed.send({"id": 7}, (b"x-word", word))).status == 200
    assert signed.counted == {"unsigned": 1, "bad_signature": 1, "internal": 1, "accepted": 3}
    assert signed.scene.stats.routes["hook"].webhook.secrets == {"1": 1, "2": 2}
    assert signed.scene.stats.refused == {"unsigned": 1, "bad_signature": 1, "internal": 1}


async def test_what_is_not_signed_is_never_parsed(signed: Hooks) -> None:
    assert (await signed.send(b"{nonsense")).code == "unsigned"
    sent = await signed.send(b"{nonsense", (b"x-word", b"new"))
    assert (sent.status, sent.code) == (400, "bad_json")


async def test_bodies_are_verified_as_they_came_also_beside_the_loop(hooks: Hooks) -> None:
    seen: list[Delivery] = []

    class Keep:
        def verify(self, delivery: Delivery) -> int:
            seen.append(delivery)
            return 0

    keeping = Hooks(signature=Keep())
    for body in (b' {"id" :7}\n', b' {"id":7, "more": "' + b"x" * LARGE + b'"}'):
        assert (await keeping.send(body)).status == 200
    assert [(one.method, one.target, one.header(b"content-type")) for one in seen] == [
        ("POST", b"/hook?a=b", b"application/json")
    ] * 2
    assert [len(one.body) for one in seen] == [11, LARGE + 21]


async def test_a_question_is_answered_and_nothing_else(signed: Hooks) -> None:
    sent = await signed.send({"id": 7, "hello": "you"}, (b"x-word", b"new"))
    assert (sent.status, json.loads(sent.body)) == (200, {"hello": "you"})
    assert (await signed.send({"hello": "you"})).status == 401
    assert (signed.post.published, signed.counted) == ([], {"handshake": 1, "unsigned": 1})


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_webhooks_are_posted(hooks: Hooks, method: str) -> None:
    sent = await hooks.send({"id": 7}, method=method)
    assert (sent.status, sent.headers[b"allow"]) == (405, b"POST")
    assert (sent.body == b"") is (method == "HEAD")
    assert hooks.post.published == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (b"application/json", 200),
        (b"Application/JSON; charset=utf-8", 200),
        (b"application/cloudevents+json", 200),
        (b"application/x-www-form-urlencoded", 415),
        (b"text/plain", 415),
        (b"", 200),
    ],
)
async def test_deliveries_are_json(hooks: Hooks, kind: bytes, status: int) -> None:
    assert (await hooks.send({"id": 7}, (b"content-type", kind))).status == status


async def test_a_form_is_for_senders_that_sign(signed: Hooks, hooks: Hooks) -> None:
    kind, word = (b"content-type", b"Application/x-www-form-urlencoded; charset=utf-8"), (b"x-word", b"new")
    assert (await signed.send(b"id=7&text=a+b", kind, word)).status == 200
    assert signed.post.published == [("orders.7", {"id": "7", "text": "a b"})]
    assert (await signed.send(b"payload=%7B%22id%22%3A8%7D", kind, word)).status == 200
    assert (signed.post.published[-1], signed.looked[-1]) == (("orders.8", {"id": 8}), b"/api/orders/8")
    for body in (b"{}", b"payload=%7B"):
        sent = await signed.send(body, kind, word)
        assert (sent.status, sent.code) == (400, "bad_form")
    assert (await signed.send(b"id=7", kind)).code == "unsigned"
    assert (await hooks.send(b"id=7", kind)).code == "bad_type", "any page could send it"


ASKING = Challenge(param="challenge", where=(("token", "a-secret"),))


async def test_a_question_before_deliveries_is_answered_with_its_text() -> None:
    hooks = Hooks(replace(HOOK, challenge=ASKING), Word())
    for method, other in (("GET", JSON), ("POST", JSON), ("POST", (b"content-length", b"0"))):
        sent = await hooks.send(b"", other, method=method, query_string=b"challenge=a%3Cb&token=a-secret")
        assert (sent.status, sent.body, sent.headers[b"content-type"][:10]) == (200, b"a<b", b"text/plain")
    assert hooks.counted == {"handshake": 3}
    sent = await hooks.send(b"", method="GET", query_string=b"challenge=a&token=another")
    assert (sent.status, sent.code) == (403, "bad_challenge")
    sent = await hooks.send(b"", method="GET")
    assert (sent.status, sent.headers[b"allow"]) == (405, b"GET, POST")
    for more in ((b"content-length", b"9"), (b"transfer-encoding", b"chunked")):
        sent = await hooks.send({"id": 7}, more, query_string=b"challenge=a&token=a-secret")
        assert (sent.status, sent.code) == (401, "unsigned"), "a delivery, whatever its query"
    assert hooks.post.published == []


async def test_questions_are_asked_at_a_rate() -> None:
    hooks = Hooks(replace(HOOK, challenge=ASKING))
    hooks.limited(messages_per_second=1)
    query = b"challenge=a&token=a-secret"
    assert [(await hooks.send(b"", method="GET", query_string=query)).status for _ in range(2)] == [200, 429]


async def test_compressed_deliveries_are_refused(hooks: Hooks) -> None:
    assert (await hooks.send({"id": 7}, (b"content-encoding", b"gzip"))).status == 415
    assert (await hooks.send({"id": 7}, (b"content-encoding", b"identity"))).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"1 2", b"NaN", b"[" * 5000 + b"]" * 5000, b'"\\ud800"'])
async def test_what_is_no_json(hooks: Hooks, body: bytes) -> None:
    sent = await hooks.send(body)
    assert (sent.status, sent.code) == (400, "bad_json")


async def test_bodies_are_bounded_by_what_they_say_and_by_what_they_are() -> None:
    hooks = Hooks(replace(HOOK, max_body=2000))
    body = b'{"id": 7}'.ljust(2000)
    for length in (b"2000", b"nonsense", b"0"):
        assert (await hooks.send(body, (b"content-length", length))).status == 200
    for given, length in ((b"", b"2001"), (body + b" ", b"10")):
        sent = await hooks.send(given, (b"content-length", length))
        assert (sent.status, sent.code) == (413, "too_large")


async def test_who_leaves_is_not_answered_but_counted(hooks: Hooks) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError("nobody is there")

    scope: Scope = {"type": "http", "method": "POST", "raw_path": b"/hook", "query_string": b"", "headers": []}
    await hooks.webhooks.serve(scope, receive, send, hooks.route)
    assert hooks.counted == {"gone": 1}
    assert hooks.scene.stats.routes["hook"].in_flight == 0


async def test_it_is_no_websocket(hooks: Hooks) -> None:
    refused: list[Message] = []

    async def send(message: Message) -> None:
        refused.append(message)

    scope: Scope = {"type": "websocket", "raw_path": b"/hook", "headers": []}
    await hooks.webhooks.serve(scope, send, send, hooks.route)  # type: ignore[arg-type]  # nothing is received
    assert [error.status for error in hooks.scene.refused] == [404]


async def test_faults_are_counted_and_told_once_in_the_routes_own_words(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidegate.webhook")
    bodies: list[Json] = [{"no": "secret-value"}, {"id": ""}, {"id": "a.b secret-value"}, {"id": "nowhere"}]
    for body in bodies:
        sent = await hooks.send(body)
        assert (sent.status, json.loads(sent.body)) == (200, {"result": "accepted"})
    assert hooks.scene.stats.routes["hook"].webhook.faults == {"channel": 3, "refresh": 3}
    assert [record.message for record in caplog.records] == [
        "webhook hook: nothing fit for channel in a delivery: orders.${body.id}",
        "webhook hook: nothing fit for refresh in a delivery: /api/orders/${body.id}",
    ]
    assert [name for name, _ in hooks.post.published] == ["orders.nowhere"]


async def test_what_is_of_no_interest_is_ignored() -> None:
    hooks = Hooks(replace(HOOK, when="body.wanted"))
    for wanted, result in ((True, "accepted"), (False, "ignored")):
        assert json.loads((await hooks.send({"id": 7, "wanted": wanted})).body) == {"result": result}
    assert (len(hooks.post.published), len(hooks.looked)) == (1, 1)


DEDUPED = replace(HOOK, dedupe=Dedupe(id="${header.X-Id}", ttl=60))


async def test_a_delivery_that_comes_again_is_answered_and_nothing_else() -> None:
    hooks = Hooks(DEDUPED)
    results = [json.loads((await hooks.send({"id": 7}, (b"x-id", id_))).body)["result"] for id_ in (b"1", b"1", b"2")]
    assert results == ["accepted", "duplicate", "accepted"]
    assert len(hooks.post.published) == 2
    hooks.scene.clock.advance(60)
    assert (await hooks.send({"id": 7}, (b"x-id", b"1"))).status == 200
    assert hooks.counted == {"accepted": 3, "duplicate": 1}


async def test_deliveries_without_an_id_are_never_taken_for_one_another() -> None:
    hooks = Hooks(DEDUPED)
    for _ in range(3):
        await hooks.send({"id": 7})
        await hooks.send({"id": 7}, (b"x-id", b""))
    assert hooks.counted == {"accepted": 6}


async def test_forgeries_use_up_no_ids() -> None:
    hooks = Hooks(DEDUPED, Word())
    assert (await hooks.send({"id": 7}, (b"x-id", b"1"), (b"x-word", b"wrong"))).status == 401
    assert (await hooks.send({"id": 7}, (b"x-id", b"1"), (b"x-word", b"new"))).status == 200
    assert hooks.counted == {"bad_signature": 1, "accepted": 1}


async def test_what_finds_no_room_may_be_sent_again() -> None:
    hooks = Hooks(DEDUPED)
    hooks.post.full = True
    sent = await hooks.send({"id": 7}, (b"x-id", b"1"))
    assert (sent.status, sent.code, sent.headers[b"retry-after"]) == (503, "too_many_channels", b"30")
    hooks.post.full = False
    assert (await hooks.send({"id": 7}, (b"x-id", b"1"))).status == 200
    assert hooks.counted == {"too_many_channels": 1, "accepted": 1}


async def test_one_that_comes_again_too_soon_is_asked_to_come_later() -> None:
    """The first may still fail: nobody may be told that it is done."""
    hooks = Hooks(DEDUPED)
    hooks.post.hold = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(hooks.send({"id": 7}, (b"x-id", b"1")))
        while not hooks.looked:  # noqa: ASYNC110 - turns of the loop, until it is being worked on
            await asyncio.sleep(0)
        again = await hooks.send({"id": 7}, (b"x-id", b"1"))
        assert (again.status, again.code, again.headers[b"retry-after"]) == (503, "busy", b"1")
        hooks.post.hold.set()
    assert first.result().status == 200
    assert hooks.post.published == [("orders.7", {"id": 7})]


async def test_an_address_has_its_rate_and_others_are_not_concerned(hooks: Hooks) -> None:
    hooks.limited(messages_per_second=3)
    assert [(await hooks.send({"id": 7})).status for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = await hooks.send({"id": 7})
    assert (refused.code, refused.headers[b"retry-after"]) == ("rate", b"1")
    assert (await hooks.send({"id": 7}, address="192.0.2.2")).status == 200
    assert (await hooks.send({"id": 7}, client=None)).status == 200
    hooks.scene.clock.advance(0.7)
    assert (await hooks.send({"id": 7})).status == 200
    assert (await hooks.send({"id": 7})).status == 429
    hooks.scene.clock.advance(2)
    assert [(await hooks.send({"id": 7})).status for _ in range(4)] == [200, 200, 200, 429]


def secrets_in(record: logging.LogRecord) -> Iterator[str]:
    yield from (word for word in ("the-signature", "the-body") if word in record.getMessage())


async def test_no_signature_and_no_body_is_logged(signed: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await signed.send({"id": "the-body"}, (b"x-word", b"the-signature"))
    await signed.send({"id": "the-body"}, (b"x-word", b"new"), (b"x-more", b"the-signature"))
    assert caplog.records
    assert [word for record in caplog.records for word in secrets_in(record)] == []


async def test_other_settings_are_taken_and_what_was_taken_is_remembered() -> None:
    hooks = Hooks(replace(HOOK, dedupe=Dedupe(id="${body.id}")))
    assert (await hooks.send({"id": 1})).body == b'{"result": "accepted"}'
    same = hooks.webhooks._receivers["hook"]
    hooks.webhooks.renew([hooks.route], {}, {"hook"})
    assert hooks.webhooks._receivers["hook"] is same
    settings = replace(HOOK, publish=(), dedupe=Dedupe(id="${body.id}"))
    hooks.route = replace(hooks.route, webhook=settings)
    hooks.webhooks.renew([hooks.route], {})
    assert (await hooks.send({"id": 1})).body == b'{"result": "duplicate"}'
    assert (await hooks.send({"id": 2})).status == 200
    assert hooks.post.published == [("orders.1", None)] or len(hooks.post.published) == 1
    hooks.route = replace(hooks.route, webhook=replace(settings, dedupe=Dedupe(id="x${body.id}")))
    hooks.webhooks.renew([hooks.route], {})
    assert (await hooks.send({"id": 1})).body == b'{"result": "accepted"}'
    hooks.webhooks.renew([], {})
    assert hooks.webhooks._receivers == {}
