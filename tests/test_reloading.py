"""One configuration after another, in this process and without a socket."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway import reloading
from gateway.app import Application
from gateway.build import Built, Ground
from gateway.config import Rereading
from gateway.core.asgi import Message, Scope
from gateway.core.http import Request
from gateway.core.identity import Identity
from gateway.core.plan import Difference, Plan
from gateway.core.stats import Stats
from gateway.errors import ClientError, ConfigError
from gateway.reloading import Lasting, Reloading
from gateway.testing.clock import ManualClock
from gateway.testing.source import turn
from gateway.wire.upstream import HttpUpstream
from tests.test_app import ask, scope_of

CONFIG = """
listen: ["127.0.0.1:0"]
admin: {listen: "127.0.0.1:0"}
access_log: "off"
upstreams:
  shop: {url: "http://127.0.0.1:1"}
  other: {url: "http://127.0.0.1:2"}
auth:
  staff: {jwt: {jwks: "https://id.example.com/keys", issuer: "https://id.example.com", audience: shop}}
  users: {jwt: {jwks: "https://id.example.com/keys", issuer: "https://id.example.com", audience: users}}
routes:
  - {path: /live, upstream: shop, live: {poll: {interval: 1s}}, auth: [staff]}
  - {path: /plain, upstream: other, auth: [users]}
  - path: /hook
    webhook: {verify: {hmac: {secret: a-secret-of-ours-0123456789, header: x-signature}}, refresh: ["/live"]}
"""


class House:
    """An application, and its file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.yaml"
        self.write()
        reread = Rereading(str(self.file), {})
        self.app = Application(reread.first(), reread)

    def write(self, *changes: tuple[str, str]) -> None:
        text = CONFIG
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    async def change(self, *changes: tuple[str, str]) -> Plan:
        self.write(*changes)
        return await self.app.reload()

    @property
    def built(self) -> Built:
        return self.app._built

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As a server has it, from start-up to shutdown."""
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        sent: asyncio.Queue[Message] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live({"type": "lifespan"}, inbox, sent))
            inbox.put_nowait({"type": "lifespan.startup"})
            assert (await sent.get())["type"] == "lifespan.startup.complete"
            yield
            inbox.put_nowait({"type": "lifespan.shutdown"})
            assert (await sent.get())["type"] == "lifespan.shutdown.complete"

    async def _live(self, scope: Scope, inbox: asyncio.Queue[Message], sent: asyncio.Queue[Message]) -> None:
        await self.app(scope, inbox.get, sent.put)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_what_is_unchanged_is_the_same_object(house: House) -> None:
    before = house.built
    change = await house.change(("127.0.0.1:2", "127.0.0.1:3"), ("audience: users", "audience: everybody"))
    after = house.built
    assert after is not before
    assert (change.upstreams.changed, change.auth.changed, change.routes.changed) == (
        ("other",),
        ("users",),
        ("/plain",),
    )
    assert after.upstreams["shop"] is before.upstreams["shop"]
    assert after.upstreams["other"] is not before.upstreams["other"]
    for key in (("authenticators", "staff"), ("sources", "/live"), ("signatures", "/hook")):
        assert after.made[key] is before.made[key]
    assert after.made["authenticators", "users"] is not before.made["authenticators", "users"]
    assert after.live["/live"] is before.live["/live"]
    assert after.routes["/live"] is before.routes["/live"]
    assert house.app.settings.routes[0] is after.routes["/live"]
    assert house.app.stats.config.hash == after.settings.hash != before.settings.hash
    assert dict(house.app.stats.config.reloads) == {"ok": 1, "failed": 0}


async def test_new_requests_see_the_new_table_and_metrics(house: House) -> None:
    await house.change(("path: /plain", "path: /simple"))
    _, problem = await ask(house.app, scope_of("/plain"))
    assert problem["code"] == "no_route"
    _, problem = await ask(house.app, scope_of("/simple"))
    assert problem["code"] == "unauthenticated"
    assert house.app.stats.routes["/simple"].requests == {("GET", 200): 0}


async def test_headers_of_the_gateways_own_are_those_of_the_configuration(house: House) -> None:
    from gateway.core.headers import without_own

    theirs = ((b"x-who", b"me"),)
    assert without_own([*theirs]) == theirs
    await house.change(("audience: users}", "audience: users}, headers: {X-Who: '${claims.sub}'}"))
    assert without_own([*theirs]) == ()
    await house.change()
    assert without_own([*theirs]) == theirs


async def test_a_mistake_changes_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    before = house.built
    for change in (("upstream: other", "upstream: nobody"), ('access_log: "off"', "access_log: stdout")):
        with pytest.raises(ConfigError):
            await house.change(change)
    assert house.built is before
    assert dict(house.app.stats.config.reloads) == {"ok": 0, "failed": 2}
    assert not house.app.stats.config.successful
    assert [record.getMessage()[:14] for record in caplog.records if record.levelname == "ERROR"] == [
        "not reloaded: ",
        "not reloaded: ",
    ]
    assert "access_log: cannot be changed while the gateway runs" in caplog.text
    await house.change()
    assert house.app.stats.config.successful


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "no such file", "ca.pem"), "ca.pem"),
        (RuntimeError("a secret"), "a fault that the log"),
    ],
)
async def test_what_cannot_be_built_changes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    before = house.built

    def fail(*_: object) -> Built:
        raise error

    monkeypatch.setattr(reloading, "build", fail)
    with pytest.raises(ConfigError) as found:
        await house.app.reload()
    assert words in str(found.value)
    assert "a secret" not in str(found.value)
    assert str(found.value).startswith(f"{house.file}:1:1: it cannot be built")
    assert house.built is before


async def test_they_come_one_after_another_and_none_at_the_end(house: House) -> None:
    house.write(("path: /plain", "path: /simple"))
    changes = await asyncio.gather(*(house.app.reload() for _ in range(3)))
    assert sorted(bool(change) for change in changes) == [False, False, True]
    house.app.health.draining = True
    with pytest.raises(ClientError, match="shutting down"):
        await house.app.reload()
    assert dict(house.app.stats.config.reloads) == {"ok": 3, "failed": 0}


async def test_there_may_be_no_file(house: House) -> None:
    with pytest.raises(ClientError, match="not started with a file"):
        await Application(house.app.settings).reload()


async def test_who_is_being_let_in_is_let_in_by_the_new_rules(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def known(self: object, request: Request) -> tuple[str, Identity]:
        asked.append("old" if self is old else "new")
        if self is old:
            await house.change(("127.0.0.1:2", "127.0.0.1:3"))
            return "users", Identity(subject="ada")
        raise ClientError(403, "forbidden", "not by these rules")

    old = house.built.gates["/plain"]
    monkeypatch.setattr(type(old), "known", known)
    _, problem = await ask(house.app, scope_of("/plain"))
    assert (problem["code"], asked) == ("forbidden", ["old", "new"])


async def test_who_is_being_let_in_is_not_asked_again_by_the_same_rules(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def known(self: object, request: Request) -> tuple[str, Identity]:
        asked.append("once")
        await house.change(("path: /hook", "path: /hooks"))
        return "users", Identity(subject="ada")

    monkeypatch.setattr(type(house.built.gates["/plain"]), "known", known)
    _, problem = await ask(house.app, scope_of("/plain"))
    assert (problem["code"], asked) == ("upstream_unavailable", ["once"])


async def test_nothing_gathers(house: House) -> None:
    """Many configurations leave what one leaves: tasks, objects, counters."""
    async with house.running():
        for number in range(3):
            await house.change(
                ("path: /plain", f"path: /plain{number % 2}"), ("127.0.0.1:2", f"127.0.0.1:{number + 3}")
            )
        app = house.app

        async def rest() -> None:
            assert app._reloading is not None
            await app._reloading.close()
            await app._reloading.send_all_away()
            await turn()
            gc.collect()

        await rest()
        before = len(asyncio.all_tasks()), _count(HttpUpstream), _count(Built)
        for number in range(30):
            await house.change(
                ("path: /plain", f"path: /plain{number % 2}"),
                ("127.0.0.1:2", f"127.0.0.1:{number + 3}"),
                ("audience: users", f"audience: users{number}"),
            )
        await rest()
        assert (len(asyncio.all_tasks()), _count(HttpUpstream), _count(Built)) == before
    assert set(app.stats.routes) <= {"/live", "/plain", "/plain0", "/plain1", "/hook", "tidegate.js", "*"}


def _count(kind: type) -> int:
    return sum(type(thing) is kind for thing in gc.get_objects())


NOTHING = Difference()


class Upstream:
    """One that is busy until it is told otherwise."""

    def __init__(self, name: str, *, busy: bool) -> None:
        self.name = name
        self.busy = busy
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Rest:
    """A reloading whose clock is the test's; it has nothing to read."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.stats = Stats()
        ground = cast("Ground", self)
        self.routes: dict[str, object] = {}
        self.channels: tuple[object, ...] = ()
        self.settings = self
        self.all_upstreams: list[object] = []
        self.access = self.codecs = self.live = None
        lasting = cast("Callable[..., Lasting]", Lasting)(
            ground=ground, health=None, sessions=None, webhooks=None, tunnels=None, current=lambda: self, take=None
        )
        self.reloading = Reloading(lasting, cast("reloading.Reread", None))

    async def pass_(self, seconds: float) -> None:
        await self.clock.asleep()
        self.clock.advance(seconds)
        await turn()


async def test_who_goes_is_sent_away_a_few_at_a_time() -> None:
    rest, gone = Rest(), list[int]()
    ends = [lambda number=number: gone.append(number) for number in range(120)]
    async with asyncio.TaskGroup() as group:
        group.create_task(rest.reloading._send_away(cast("list[Callable[[], None]]", ends)))
        for expected in (50, 100):
            await rest.clock.asleep()
            assert gone == list(range(expected))
            await rest.pass_(0.05)
    assert gone == list(range(120))


async def test_very_many_are_away_within_ten_seconds() -> None:
    rest, gone = Rest(), list[int]()
    ends: list[Callable[[], None]] = [lambda: gone.append(1) for _ in range(50_000)]
    began = rest.clock.monotonic()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(rest.reloading._send_away(ends))
        await rest.clock.asleep()
        while not task.done():
            rest.clock.advance(0.05)
            await turn()
    assert len(gone) == 50_000
    assert rest.clock.monotonic() - began <= 10


async def test_nobody_waits_at_the_end() -> None:
    rest, gone = Rest(), list[int]()
    rest.reloading._leaving.start(rest.reloading._send_away([lambda: gone.append(1)] * 120), "farewell")
    await rest.clock.asleep()
    assert len(gone) == 50
    await rest.reloading.send_all_away()
    assert len(gone) == 120


async def test_an_upstream_is_closed_when_it_is_quiet_or_out_of_patience() -> None:
    rest = Rest()
    quiet, slow, stuck = Upstream("a", busy=False), Upstream("b", busy=True), Upstream("c", busy=True)
    every = [quiet, slow, stuck]
    for one in every:
        rest.stats.upstreams[one.name].retries += 1
    rest.all_upstreams = [Upstream("b", busy=False)]
    async with asyncio.TaskGroup() as group:
        group.create_task(rest.reloading._close(cast("list[HttpUpstream]", [*every])))
        await rest.clock.asleep()
        assert not quiet.closed, "what is on its way comes by then"
        await rest.pass_(1)
        assert not quiet.closed, "it has been quiet at one look"
        await rest.pass_(1)
        assert [one.closed for one in every] == [True, False, False]
        slow.busy = False
        for _ in range(2):
            await rest.pass_(1)
        assert [one.closed for one in every] == [True, True, False]
        await rest.pass_(reloading.PATIENCE)
    assert stuck.closed
    assert set(rest.stats.upstreams) == {"b"}


async def test_what_is_removed_is_counted_until_another_reload(house: House) -> None:
    stats = house.app.stats
    stats.routes["/plain"].in_flight = 1
    await house.change(("path: /plain", "path: /simple"))
    await house.change(("path: /plain", "path: /other"))
    assert {"/plain", "/simple", "/other"} <= set(stats.routes), "one is busy, and one was removed just now"
    stats.routes["/plain"].in_flight = 0
    await house.change(("path: /plain", "path: /simple"))
    assert set(stats.routes) & {"/plain", "/simple", "/other"} == {"/simple", "/other"}
    await house.change(("path: /plain", "path: /simple"))
    assert set(stats.routes) & {"/plain", "/simple", "/other"} == {"/simple"}


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.config")
    many = Difference(added=tuple("abcdefghijkl"), removed=("x",), unchanged=("y",))
    change = Plan(upstreams=NOTHING, auth=Difference(changed=("staff",)), routes=many, channels=NOTHING)
    told = "route added: a, b, c, d, e, f, g, h and 4 more; route removed: x; authenticator changed: staff"
    assert reloading._told(change) == told
    assert reloading._told(Plan(upstreams=NOTHING, auth=NOTHING, routes=NOTHING, channels=NOTHING)).startswith(
        "nothing"
    )
