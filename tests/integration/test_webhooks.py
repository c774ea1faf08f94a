"""Webhooks over real HTTP: from a sender to those who follow, and what hostile senders get."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook
from websockets.asyncio.client import connect

from tests.integration.backend import Backend
from tests.integration.clients import PYTHON, Open, heard, websockets_json
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, come
from tests.integration.raw import ask, request

SECRET = "It's a Secret to Everybody"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /hooks/github
    webhook:
      verify: {{github: {{secret: ["the-next-secret", "{secret}"]}}}}
      publish:
        - channel: "repo.${{body.repository.name}}"
          type: "github.${{header.X-GitHub-Event}}"
          data: "body.{{action: action, number: number}}"
          when: "header.\\"x-github-event\\" != 'ping'"
      dedupe: "${{header.X-GitHub-Delivery}}"
  - path: /hooks/shop
    webhook:
      verify: {{standard: {{secret: "{key}"}}}}
      refresh: ["/api/${{body.changed}}"]
      max_body: 2KB
  - path: /hooks/slack
    webhook:
      verify: {{slack: {{secret: "{secret}"}}}}
      publish: [{{channel: slack, data: body.event}}]
  - path: /live
    session: {{subscribe: ["repo.*", slack]}}
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 1h}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""


def start(gateway: Serve, backend: Backend) -> Gateway:
    return gateway(CONFIG.format(url=backend.url, secret=SECRET, key=KEY))


def mac(data: bytes) -> str:
    return hmac.new(SECRET.encode(), data, hashlib.sha256).hexdigest()


def from_github(body: object, id_: str = "1", event: str = "pull_request") -> dict[str, Any]:
    """A delivery as GitHub sends it, as arguments of `post`."""
    data = json.dumps(body).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/abc",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": id_,
        "X-Hub-Signature-256": f"sha256={mac(data)}",
    }
    return {"content": data, "headers": headers}


def from_shop(body: str, at: float | None = None) -> dict[str, Any]:
    """A delivery by the library of Standard Webhooks."""
    now = int(time.time() if at is None else at)
    signature = Webhook(KEY).sign("msg_1", datetime.fromtimestamp(now, UTC), body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
    return {"content": body.encode(), "headers": {"Content-Type": "application/json", **headers}}


@asynccontextmanager
async def sender(running: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=LIMIT) as client:
        yield client


@asynccontextmanager
async def following(running: Gateway, *channels: str) -> AsyncIterator[Any]:
    """A session that follows channels."""
    async with connect(f"{running.ws}/live", proxy=None) as socket:
        for number, channel in enumerate(channels):
            await socket.send(json.dumps({"op": "subscribe", "id": number, "channel": channel}))
        answered = 0
        while answered < len(channels):
            answered += json.loads(await asyncio.wait_for(socket.recv(), LIMIT))["op"] == "ok"
        yield socket


async def event(socket: Any) -> tuple[str, Any]:
    """The next event: its channel and its data."""
    async with asyncio.timeout(LIMIT):
        while (said := json.loads(await socket.recv()))["op"] != "event":
            pass
    assert said["event"]["type"] == "message"
    return said["channel"], said["event"]["data"]


def counted(running: Gateway, name: str, route: str) -> dict[str, float]:
    return {
        next(value for label, value in labels.items() if label != "route"): count
        for sample, labels, count in running.samples()
        if sample == name and labels["route"] == route and count
    }


async def test_what_github_sends_is_an_event_of_a_session(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    body = {"action": "opened", "number": 7, "repository": {"name": "hello"}}
    async with sender(running) as github, following(running, "repo.hello", "repo.other") as client:
        ping = await github.post("/hooks/github", **from_github({"zen": "Keep it logically awesome."}, "0", "ping"))
        assert (ping.status_code, ping.json()) == (200, {"result": "accepted"})
        sent = await github.post("/hooks/github", **from_github(body))
        assert (sent.status_code, sent.json()) == (200, {"result": "accepted"})
        data = {"type": "github.pull_request", "data": {"action": "opened", "number": 7}}
        assert await event(client) == ("repo.hello", data)
        again = await github.post("/hooks/github", **from_github(body))
        assert (again.status_code, again.json()) == (200, {"result": "duplicate"})
        nameless = await github.post("/hooks/github", **from_github({"repository": {"name": ""}}, "2"))
        assert nameless.status_code == 200
        await github.post("/hooks/github", **from_github({"repository": {"name": "other"}}, "3"))
        assert (await event(client))[0] == "repo.other"  # and nothing in between
    assert counted(running, "tidegate_webhook_requests_total", "/hooks/github") == {"accepted": 4, "duplicate": 1}
    assert counted(running, "tidegate_webhook_secrets_total", "/hooks/github") == {"2": 5}
    assert counted(running, "tidegate_webhook_faults_total", "/hooks/github") == {"channel": 1}
    running.logged(kind="request", path="/hooks/github", status=200, route="/hooks/github")


@pytest.mark.parametrize("open_stream", PYTHON.values(), ids=PYTHON)
async def test_a_hint_brings_the_change_at_once_although_the_interval_is_an_hour(
    gateway: Serve, backend: Backend, open_stream: Open
) -> None:
    running = start(gateway, backend)
    async with sender(running) as shop, open_stream(f"{running.url}/api/shirts", None, {}) as stream:
        await heard(stream, "snapshot")
        backend.shirts[""] = [{"id": 1, "stock": 11}]
        sent = await shop.post("/hooks/shop", **from_shop('{"changed": "shirts"}'))
        assert sent.json() == {"result": "accepted"}
        assert (await heard(stream, "updated")).data["item"] == {"id": 1, "stock": 11}
        backend.shirts[""] = []
        await shop.post("/hooks/shop", **from_shop('{"changed": "shirts"}'))
        assert (await heard(stream, "deleted")).data["key"] == 1
    assert running.metrics()["tidegate_source_reconciled_events_total"] == 0


async def test_a_hint_is_for_every_key_of_the_url_and_shows_nobody_anothers_data(
    gateway: Serve, backend: Backend
) -> None:
    backend.shirts = {token: [{"id": 1, "stock": 12, "of": token}] for token in ("", "ada", "bob")}
    running = start(gateway, backend)
    url = f"{running.url}/api/shirts"
    async with (
        sender(running) as shop,
        websockets_json(url, None, {"Authorization": "ada"}) as ada,
        websockets_json(url, None, {"Authorization": "bob"}) as bob,
        websockets_json(f"{url}?page=1", None, {"Authorization": "bob"}) as page,
    ):
        await asyncio.gather(*(heard(stream, "snapshot") for stream in (ada, bob, page)))
        for token in ("ada", "bob"):
            backend.shirts[token] = [{"id": 1, "stock": 5, "of": token}]
        await shop.post("/hooks/shop", **from_shop('{"changed": "shirts", "of": "everybody", "stock": 99}'))
        for stream, token in ((ada, "ada"), (bob, "bob"), (page, "bob")):
            assert (await heard(stream, "updated")).data["item"] == {"id": 1, "stock": 5, "of": token}
        polls = len(backend.polls("ada"))
        elsewhere = await shop.post("/hooks/shop", **from_shop('{"changed": "../admin?x="}'))
        assert elsewhere.json() == {"result": "accepted"}
        assert counted(running, "tidegate_webhook_faults_total", "/hooks/shop") == {"refresh": 1}
        assert len(backend.polls("ada")) == polls
        assert not any("admin" in asked.target for asked in backend.asked)


async def test_many_hints_at_once_lead_to_few_looks(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with sender(running) as shop, websockets_json(f"{running.url}/api/shirts") as stream:
        await heard(stream, "snapshot")
        before = len(backend.polls())
        backend.stale = asyncio.Event()
        sent = await asyncio.gather(
            *(shop.post("/hooks/shop", **from_shop('{"changed": "shirts"}')) for _ in range(50))
        )
        assert Counter(answer.status_code for answer in sent) == {200: 50}
        await come(lambda: len(backend.polls()) > before, "the look that was asked for")
        assert len(backend.polls()) == before + 1  # it is still under way
        backend.shirts[""] = [{"id": 1, "stock": 3}]
        backend.stale.set()
        assert (await heard(stream, "updated")).data["item"]["stock"] == 3  # by one more, for all that came meanwhile
        assert len(backend.polls()) == before + 2


async def test_silence_is_made_up_for_and_counted(gateway: Serve, backend: Backend) -> None:
    config = CONFIG.replace("items: {{key: id}}", "items: {{key: id}}, hints: {{expect_every: 1s, interval: 100ms}}")
    running = gateway(config.format(url=backend.url, secret=SECRET, key=KEY))
    async with websockets_json(f"{running.url}/api/shirts") as stream:
        await heard(stream, "snapshot")
        backend.shirts[""] = [{"id": 1, "stock": 4}]  # which no webhook announces, and the next poll is in an hour
        assert (await heard(stream, "updated")).data["item"]["stock"] == 4
        assert running.metrics()["tidegate_source_hints_overdue"] == 1
        await come(lambda: running.metrics()["tidegate_source_reconciled_events_total"] == 1, "it is counted")


async def test_slack_is_answered_what_it_asks(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)

    def from_slack(body: object) -> dict[str, Any]:
        data, now = json.dumps(body).encode(), str(int(time.time()))
        signature = "v0=" + mac(b"v0:%b:%b" % (now.encode(), data))
        headers = {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": now}
        return {"content": data, "headers": {"Content-Type": "application/json", **headers}}

    async with sender(running) as slack, following(running, "slack") as client:
        question = from_slack({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aB"})
        for _ in range(2):
            answer = await slack.post("/hooks/slack", **question)
            assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1aB"})
        del question["headers"]["X-Slack-Signature"]
        assert (await slack.post("/hooks/slack", **question)).status_code == 401
        await slack.post("/hooks/slack", **from_slack({"type": "event_callback", "event": {"text": "hi"}}))
        assert await event(client) == ("slack", {"text": "hi"})


async def test_hostile_senders_bring_about_nothing(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    good = from_shop('{"changed": "shirts"}')
    headers = good["headers"]
    forged = {**headers, "webhook-signature": headers["webhook-signature"][:-3] + "AA="}
    async with sender(running) as shop, websockets_json(f"{running.url}/api/shirts") as stream:
        await heard(stream, "snapshot")
        before = len(backend.polls())
        for status, code, given in (
            (401, "bad_signature", {**good, "headers": forged}),
            (401, "bad_signature", {**good, "content": b'{"changed": "shirtz"}'}),
            (401, "bad_signature", {**good, "headers": {**headers, "webhook-id": "msg_2"}}),
            (401, "unsigned", {**good, "headers": {"Content-Type": "application/json"}}),
            (401, "stale", from_shop('{"changed": "shirts"}', time.time() - 3600)),
            (401, "stale", from_shop('{"changed": "shirts"}', time.time() + 3600)),
            (400, "bad_json", from_shop("{'changed': 'shirts'}")),
            (413, "too_large", from_shop(json.dumps({"changed": "shirts", "x": "y" * 5000}))),
            (415, "bad_type", {**good, "headers": {**headers, "Content-Type": "text/plain"}}),
        ):
            answer = await shop.post("/hooks/shop", **given)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert answer.headers["content-type"] == "application/problem+json"
        for method in ("GET", "PUT", "DELETE"):
            answer = await shop.request(method, "/hooks/shop")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        endless = await ask(running.port, request("POST", "/hooks/shop", ["Transfer-Encoding: chunked"]) + chunk * 3)
        assert endless.status == 413
        floods = [shop.post("/hooks/shop", **{**good, "headers": forged}) for _ in range(100)]
        assert Counter(answer.status_code for answer in await asyncio.gather(*floods)) == {401: 100}
        assert len(backend.polls()) == before
        backend.shirts[""] = [{"id": 1, "stock": 1}]
        assert (await shop.post("/hooks/shop", **good)).status_code == 200  # a replay in time does but look
        assert (await heard(stream, "updated")).data["item"]["stock"] == 1
    log = "".join(running.process.said + running.process.complained)
    for hidden in (KEY.removeprefix("whsec_"), headers["webhook-signature"], SECRET):
        assert hidden not in log + running.exposition() + json.dumps(running.log())
