"""Who shares a poll by claims, in whose name it asks, and that nobody is ever shown what is another's."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from gateway.core.codes import UNAUTHENTICATED
from gateway.core.voices import Voices
from gateway.live.channels import LiveRoute
from gateway.plugin import (
    Again,
    Answer,
    AnySource,
    Context,
    Headers,
    Identity,
    Json,
    Refused,
    Request,
    Share,
    Target,
    Unshared,
    Watch,
)
from gateway.testing.source import turn
from gateway_plugins.codecs.json import JsonOptions
from gateway_plugins.codecs.json import plugin as json_plugin
from gateway_plugins.sources.poll import PollSource, plugin
from gateway_plugins.sources.poll_options import PollOptions
from tests.live.scene import Client, Scene
from tests.live.talk import Talk
from tests.plugins.sources.scripted import Backend, Run, answer, ok, run

TENANT = {"share_by": ["claims.tenant", "claims.org.id"]}


def source(options: dict[str, object], clock: object = None) -> PollSource:
    context = Context(clock=clock, told=frozenset({b"x-user"}))  # type: ignore[arg-type]
    context = replace(context, codecs={"json": json_plugin.make(JsonOptions(), context)})
    made = plugin.make(PollOptions.model_validate(options), context)
    assert isinstance(made, PollSource)
    return made


def share(token: str, claims: dict[str, Json] | None, **options: object) -> Share:
    identity = None if claims is None else Identity(subject=token, claims=claims)
    headers = ((b"authorization", token.encode()),)
    return source({**TENANT, **options}).share(
        Request(kind="http", method="GET", target=b"/", headers=headers, params={}, options={}, identity=identity)
    )


ACME: dict[str, Json] = {"tenant": "acme", "org": {"id": 7}}


def test_equal_claims_share_whatever_the_credentials() -> None:
    one, two = share("a", {**ACME, "sub": "a"}), share("b", {**ACME, "sub": "b"})
    assert one.key == two.key
    assert one.headers != two.headers
    assert one.alone == share("a", None).key != two.alone
    assert one.who != two.who


@pytest.mark.parametrize("org", [{"id": "7"}, {"id": 8}, {"id": 7.5}, {"id": {"id": 7}}, {"id": [7]}])
def test_other_claims_never_share(org: Json) -> None:
    assert share("a", ACME).key != share("a", {**ACME, "org": org}).key


@pytest.mark.parametrize(
    "claims", [{"tenant": "acme"}, {"tenant": "acme", "org": 7}, {**ACME, "org": {"id": None}}, {}, None]
)
def test_who_lacks_a_claim_shares_with_the_same_credentials_alone(claims: dict[str, Json] | None) -> None:
    one, two = share("a", claims), share("b", claims)
    assert one.key not in (two.key, share("a", ACME).key)
    assert one.alone is two.alone is None, "nothing is lent"
    assert one.key == share("a", claims).key


def test_headers_of_an_identity_are_credentials() -> None:
    mine = Identity(subject="a", headers=((b"x-user", b"a"),))
    request = Request(kind="http", method="GET", target=b"/", headers=(), params={}, options={}, identity=mine)
    plain = source({})
    first = plain.share(request)
    second = plain.share(replace(request, identity=replace(mine, headers=((b"x-user", b"b"),))))
    assert first.headers[0] == (b"x-user", b"a")
    assert first.key != second.key


def watched(this: Run, voices: Voices) -> Watch:
    made = source({**TENANT, "jitter": "0%"}, this.clock)
    return made.watch(
        Target(target=b"/api", headers=[(b"host", b"h")], upstream=this.backend, voices=voices), this.channel
    )


def spoken(this: Run) -> list[bytes | None]:
    return [dict(headers).get(b"authorization") for _, _, headers in this.backend.asked]


def credentials(token: bytes) -> Headers:
    return [(b"authorization", token)]


async def test_the_one_who_leaves_is_followed_by_another_and_nobody_by_nobody() -> None:
    this, voices = run(ok(b"[1]")), Voices()
    one, two = voices.join(credentials(b"a"), None), voices.join(credentials(b"b"), None)
    watch = watched(this, voices)
    for voice in (one, two):
        await watch.look()
        voices.leave(voice)
    assert await watch.look() == Again(5.0)
    assert spoken(this) == [b"a", b"b"]
    assert this.backend.asked[0][2][0] == (b"host", b"h")


async def test_the_one_whose_credentials_expire_is_followed_by_another() -> None:
    this, voices = run(ok(b"[1]")), Voices()
    voices.join(credentials(b"a"), this.clock.time() + 3.0)
    voices.join(credentials(b"b"), None)
    watch = watched(this, voices)
    await watch.look()
    this.clock.advance(3)
    await watch.look()
    assert spoken(this) == [b"a", b"b"]


async def test_the_one_who_is_refused_is_followed_by_another_until_all_are() -> None:
    this, voices = run(answer(401)), Voices()
    for token in (b"a", b"b"):
        voices.join(credentials(token), None)
    watch = watched(this, voices)
    assert (await watch.look()).pause == 0.0
    with pytest.raises(Refused):
        await watch.look()
    assert spoken(this) == [b"a", b"b"]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.live.start()
    yield scene
    await scene.close()


class PerUser(Backend):
    """A backend that answers each token with that user's own items."""

    marks: tuple[tuple[bytes, bytes], ...] = ()
    refused: frozenset[str] = frozenset()

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        self.asked.append((self.clock.monotonic(), target, headers))
        token = dict(headers)[b"authorization"].decode()
        if token in self.refused:
            return Answer(status=401, headers=(), body=b"")
        body = json.dumps([{"id": f"of-{token}"}]).encode()
        return Answer(status=200, headers=((b"content-type", b"application/json"), *self.marks), body=body)


def on_stage(scene: Scene, marks: tuple[tuple[bytes, bytes], ...], **options: object) -> PerUser:
    """The scene's route, polled by a source that shares by tenant; everyone is of one tenant."""
    made = source({"share_by": ["claims.tenant"], **options}, scene.clock)
    original: Callable[[Request], Share] = made.share

    def identified(request: Request) -> Share:
        token = (request.header(b"authorization") or b"").decode()
        object.__setattr__(request, "identity", Identity(subject=token, claims={"tenant": "acme"}))
        return original(request)

    made.share = identified  # type: ignore[method-assign]
    backend = PerUser(scene.clock, [])
    backend.marks = marks
    answering: AnySource = made
    scene.route = LiveRoute(route=scene.route.route, settings=scene.route.settings, source=answering, upstream=backend)
    return backend


@pytest.mark.parametrize(
    "marks",
    [
        ((b"Cache-Control", b"private, max-age=0"),),
        ((b"Cache-Control", b"no-store"),),
        ((b"Vary", b"Accept, Authorization"),),
        ((b"Vary", b"*"),),
        ((b"Vary", b"X-User"),),
    ],
)
async def test_private_answers_end_the_sharing_before_anyone_sees_them(
    scene: Scene, marks: tuple[tuple[bytes, bytes], ...], caplog: pytest.LogCaptureFixture
) -> None:
    on_stage(scene, marks)
    with caplog.at_level(logging.WARNING):
        early = await asyncio.gather(*(scene.open(token=token) for token in "ab"))
        await turn(50)
    seen = {token: client.writer.take() for token, client in zip("ab", early, strict=True)}
    assert all(b"of-" not in data for data in seen.values())
    assert [error.status for error in scene.refused] == [503, 503], "they are to come back"
    assert len([line for line in caplog.messages if "share_private" in line]) == 1
    assert scene.stats.routes["shirts"].incidents["unshared"] == 1
    late: dict[str, Client] = {token: await scene.open(token=token) for token in "ab"}
    await turn(50)
    for token, client in late.items():
        data = client.writer.take()
        assert f"of-{token}".encode() in data
        assert data.count(b"of-") == 1


@pytest.mark.parametrize(("status", "ends"), [(200, True), (206, True), (304, True), (500, False), (404, False)])
async def test_every_good_answer_may_end_the_sharing(status: int, ends: bool) -> None:
    private = answer(status, b"[1]", content_type="application/json", cache_control="private")
    this, voices = run(ok(b"[1]", etag='"1"'), private), Voices()
    voices.join(credentials(b"a"), None)
    watch = watched(this, voices)
    await watch.look()
    if ends:
        with pytest.raises(Unshared, match="Cache-Control: private"):
            await watch.look()
    else:
        await watch.look()
    assert len(this.channel.documents) == 1, "nothing of it is shown"


async def test_the_operator_may_know_better(scene: Scene) -> None:
    backend = on_stage(scene, ((b"Cache-Control", b"private"),), share_private=True)
    for token in "ab":
        await scene.open(token=token)
    await turn(50)
    assert len(backend.asked) == 1


async def test_credentials_go_with_their_owner(scene: Scene) -> None:
    backend = on_stage(scene, (), jitter="0%")
    one = await scene.open(token="a")
    await scene.open(token="b")
    await turn(50)
    await one.leave()
    for _ in range(6):
        scene.clock.advance(1)
        await turn(50)
    assert spoken_by(backend) == [b"a", b"b"]


def spoken_by(backend: Backend) -> list[bytes | None]:
    return [dict(headers).get(b"authorization") for _, _, headers in backend.asked]


async def test_who_does_not_lend_shares_with_the_same_credentials_alone(scene: Scene) -> None:
    on_stage(scene, ())
    request = Request(
        kind="http", method="GET", target=b"/shirts", headers=((b"authorization", b"a"),), params={}, options={}
    )
    lender = await scene.open(token="a")
    channels = scene.live._channels
    alone, again = (channels.get(scene.route, request) for _ in range(2))
    assert alone is again
    assert alone.voices is None
    assert len(channels) == 2
    await turn(50)
    assert b"of-a" in lender.writer.take()
    assert alone.log.document == [{"id": "of-a"}]
    for channel in (alone, again):
        channels.release(channel)


async def test_who_is_refused_by_the_backend_is_not_shown_what_others_may_see(scene: Scene) -> None:
    backend = on_stage(scene, (), jitter="0%")
    one, two = [await scene.open(token=token) for token in "ab"]
    await turn(50)
    backend.refused = frozenset("a")
    for _ in range(6):
        scene.clock.advance(1)
        await turn(50)
    assert one.writer.closed == (UNAUTHENTICATED.code, UNAUTHENTICATED.reason)
    assert two.writer.closed is None
    assert spoken_by(backend) == [b"a", b"a", b"b"]


async def test_sessions_lend_and_share_as_streams_do(scene: Scene) -> None:
    backend = on_stage(scene, (), jitter="0%")
    talk = Talk(scene)
    await talk.sessions.start()
    stream = await scene.open(token="b")
    sessions = [await talk.open(headers=[(b"authorization", token)]) for token in (b"a", b"c")]
    for session in sessions:
        await session.say(op="subscribe", id=1, channel="/shirts")
    await turn(50)
    assert b"of-b" in stream.writer.take()
    assert spoken_by(backend) == [b"b"]
    await stream.leave()
    await sessions[0].say(op="unsubscribe", id=2, channel="/shirts")
    for _ in range(6):
        scene.clock.advance(1)
        await turn(50)
    assert spoken_by(backend) == [b"b", b"c"]
    await talk.close()
