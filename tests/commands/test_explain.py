from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.commands.explain import explained
from gateway.commands.rehearsal import ask, source_of
from gateway.core.identity import Identity
from gateway.core.route import parse_template
from gateway.core.settings import (
    AuthSettings,
    ChannelSettings,
    MessageSettings,
    PluginUse,
    Route,
    SessionSettings,
    WebhookSettings,
)
from gateway.plugin import Publisher, Request, Share, Target
from gateway.testing.clock import ManualClock
from tests.commands.played import settings

SECRET = (b"authorization", b"Bearer sekrit")


def lines(folder: Path, url: str, *headers: tuple[bytes, bytes]) -> dict[str, str]:
    config = settings(folder)
    asked = ask(config, url, headers)
    source = source_of(asked, {}, ManualClock()) if asked.route.live else None
    return dict(explained(config, asked, source))


def test_a_live_route(tmp_path: Path) -> None:
    said = lines(tmp_path, "/api/shirts?token=abc&x=1", SECRET)
    assert said["route"] == "/api/shirts: /api/shirts (any method)"
    assert said["upstream"] == "shop: http://127.0.0.1:9000/v1/api/shirts?token=REDACTED&x=1"
    assert said["sent"] == "accept, authorization"
    assert "authorization header" in said["shared by"]
    assert "cookie header" in said["shared by"]
    assert "sekrit" not in str(said)


def test_the_channel_is_told_by_a_hash(tmp_path: Path) -> None:
    one, same = lines(tmp_path, "/api/shirts", SECRET), lines(tmp_path, "/api/shirts", SECRET, (b"x-other", b"1"))
    other = lines(tmp_path, "/api/shirts", (b"authorization", b"other"))
    assert one["channel"] == same["channel"] != other["channel"]
    assert one["channel"] != lines(tmp_path, "/api/shirts?a", SECRET)["channel"]


def test_a_channel_for_everyone(tmp_path: Path) -> None:
    said = lines(tmp_path, "/api/shirts/7", SECRET)
    assert said["parameter"] == "id = 7"
    assert said["route"].endswith("(GET,HEAD)")
    assert "authorization" not in said["shared by"]


def test_a_route_that_is_not_live(tmp_path: Path) -> None:
    assert lines(tmp_path, "/x")["live"].startswith("no:")


@pytest.mark.parametrize(
    ("live", "compared"),
    [
        ("items: {at: data, key: [shop, id]}", "the items at data by their shop and id"),
        (
            "items: {ignore: seen, round: {price: 2}, unordered: [tags, codes]}",
            "the items at the top by their id; but for seen; floats at price with 2 decimals; "
            "arrays at tags, codes in the order of their contents",
        ),
        (
            "round: 1, unordered: true",
            "floats everywhere with 1 decimals; arrays everywhere in the order of their contents",
        ),
        ("ignore: at", "but for at"),
        ("linger: 1s", None),
    ],
)
def test_what_is_compared(tmp_path: Path, live: str, compared: str | None) -> None:
    config = settings(
        tmp_path,
        f"upstreams: {{a: {{url: 'http://a'}}}}\nroutes: [{{path: /x, upstream: a, live: {{poll: , {live}}}}}]",
    )
    asked = ask(config, "/x")
    assert dict(explained(config, asked, source_of(asked, {}, ManualClock()))).get("compared") == compared


@pytest.mark.parametrize("headers", [(), ((b"cookie", b"sid=sekrit; _ga=1"),)])
def test_cookies_that_decide_by_their_names(tmp_path: Path, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    config = settings(
        tmp_path,
        "upstreams: {a: {url: 'http://a', host: upstream}}\n"
        "routes: [{path: /x, upstream: a, live: {poll: {credentials: {forward: ['cookie:sid', 'cookie:b']}}}}]",
    )
    asked = ask(config, "/x", headers)
    said = dict(explained(config, asked, source_of(asked, {}, ManualClock())))
    assert said["shared by"] == "all clients of this URL with the same cookie b, cookie sid"


def test_what_is_read_together(tmp_path: Path) -> None:
    config = settings(
        tmp_path,
        """\
upstreams: {shop: {url: "http://127.0.0.1:9000/v1"}}
routes: [{path: "/api/shirts/{id}", upstream: shop, live: {poll: {batch: {param: ids, path: "/all?token=s"}}}}]
""",
    )
    for url, batch in (
        ("/api/shirts/7?size=M", "http://127.0.0.1:9000/v1/all?token=REDACTED&size=M&ids=7"),
        ("/api/shirts/7,8", None),
    ):
        asked = ask(config, url, (SECRET,))
        said = dict(explained(config, asked, source_of(asked, {}, ManualClock())))
        assert said.get("batch", "").endswith(batch or "")
        assert ("batch" in said) == (batch is not None)
    assert "batch" not in lines(tmp_path, "/api/shirts/7", SECRET)


class ByTenant:
    def share(self, request: Request) -> Share:
        assert request.identity is not None
        return Share(key=str(request.identity.claims["tenant"]).encode(), headers=[])

    async def follow(self, target: Target, publish: Publisher) -> None: ...


@pytest.mark.parametrize("tenant", ["a", 7])
def test_claims_that_decide(tmp_path: Path, tenant: str | int) -> None:
    config = settings(tmp_path)
    identity = Identity(subject="ada", claims={"sub": "ada", "tenant": tenant})
    said = dict(explained(config, ask(config, "/api/shirts", (), identity), ByTenant()))
    assert said["shared by"] == "all clients of this URL with the same host header, claim tenant"
    assert said["sent"] == "nothing of the client's"


def test_what_the_backend_is_told_decides_and_a_host_of_its_own_does_not(tmp_path: Path) -> None:
    config = settings(
        tmp_path,
        """\
upstreams: {shop: {url: "http://127.0.0.1:9000", host: upstream}}
auth: {keys: {forward: {upstream: shop, path: /me}, headers: {X-User: "${claims.sub}"}}}
routes:
  - {path: /told, upstream: shop, auth: keys, live: {poll: {credentials: none}}}
  - {path: /tenant, upstream: shop, auth: keys, live: {poll: {share_by: [claims.tenant]}}}
  - {path: /all, upstream: shop, live: {poll: {credentials: none, always: ["?a=1", "?"]}}}
""",
    )
    identity = Identity(subject="ada", claims={"tenant": "acme"})
    said = {}
    for url in ("/told", "/tenant", "/all", "/all?page=2"):
        asked = ask(config, url, (), identity)
        said[url] = dict(explained(config, asked, source_of(asked, {}, ManualClock())))
    assert said["/told"]["shared by"] == "all clients of this URL with the same x-user header of auth"
    assert said["/tenant"]["shared by"] == "all clients of this URL with the same claim tenant"
    assert said["/all"]["shared by"] == "everyone"
    assert [url for url in said if "always" in said[url]] == ["/all"]


def test_a_channel_of_messages_is_told_by_its_name(tmp_path: Path) -> None:
    config = settings(tmp_path)
    channel = ChannelSettings(name="chat.${params.room}.${claims.sub}", publish=True)
    route = Route(name="/chat", path=parse_template("/chat/{room}"), auth=("staff",), channel=channel)
    keepers = {"staff": AuthSettings(plugin=PluginUse(name="jwt", options=None))}
    mine = replace(config, routes=(route,), auth=keepers, channels=(MessageSettings(pattern="chat.*"),))
    known = ask(mine, "/chat/a", (), Identity(subject="ada", claims={"sub": "ada"}))
    said = dict(explained(mine, known, None))
    assert said["answered by"] == "the gateway: messages, by every transport, and POST publishes one"
    assert said["channel"] == "chat.a.ada, kept as chat.*"
    assert said["lets in"] == "whom one of these knows: staff"
    nobody = dict(explained(mine, ask(mine, "/chat/a", ()), None))
    assert nobody["channel"].startswith("none: chat.${params.room}.${claims.sub} has no value")
    assert dict(explained(replace(mine, channels=()), known, None))["channel"].endswith("kept as *")


def test_what_the_gateway_answers_itself(tmp_path: Path) -> None:
    config = settings(tmp_path)
    hook = Route(name="/hook", path=parse_template("/hook"), webhook=WebhookSettings(verify=None))
    for route, who in ((hook, "takes webhooks"), (replace(hook, webhook=None, session=SessionSettings()), "sessions")):
        mine = replace(config, routes=(route,))
        said = dict(explained(mine, ask(mine, "/hook", ()), None))
        assert who in said["answered by"]
        assert "upstream" not in said
