"""Scripts of events: what happens, then what the session wants done."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.codes import Disconnect
from gateway.core.formats import Misread, Unintelligible
from gateway.core.messages import (
    Auth,
    Cancel,
    Error,
    Expiring,
    Fault,
    Hello,
    Ok,
    Ping,
    Pong,
    Publish,
    Request,
    Response,
    Subscribe,
    Unsubscribe,
)
from gateway.core.session import Session
from gateway.core.session_commands import Abandon, Begin, Leave, Rejoin
from gateway.core.session_events import (
    Closed,
    Event,
    Failed,
    Followed,
    Lost,
    Opened,
    Published,
    Renewed,
    Waning,
)
from gateway.core.session_rules import Rules
from gateway.core.settings import SessionLimits
from gateway.core.stats import SessionStats

NOTHING = msgspec.Raw(b"{}")
NO = Fault("forbidden", 403, "no")
CANCELLED = Fault("cancelled", 499, "given up by the client")
NULL = msgspec.Raw(b"null")


def made(*, requests: bool = True, subscriptions: int = 2, renewable: bool = True) -> Session:
    return Session(rules(requests=requests, subscriptions=subscriptions), SessionStats(), renewable)


def rules(*, requests: bool = True, subscriptions: int = 2, start: str = "/api") -> Rules:
    return Rules(
        subscribe=lambda channel: channel.startswith((start, "chat.")),
        publish=lambda channel: channel.startswith("chat."),
        requests=requests,
        timeout=60.0,
        limits=SessionLimits(subscriptions=subscriptions, requests=2),
    )


def play(session: Session, *script: object) -> None:
    """Each event of the script is followed by the commands that it must cause, in a list."""
    for event, commands in zip(script[::2], script[1::2], strict=True):
        assert session.handle(event) == commands, event  # type: ignore[arg-type]  # events, by the way this is called


def refused(answer_to: int, code: str, status: int, message: str) -> list[Error]:
    return [Error(Fault(code, status, message), id=answer_to)]


def test_hello_comes_first_and_pings_are_answered() -> None:
    hello = Hello(session="s", subject=None, expires=None, heartbeat=25.0)
    play(made(), Opened(hello), [hello], Ping(), [Pong()], Ping(7), [Pong(7)])


def test_a_subscription_from_its_beginning_to_its_end() -> None:
    session, subscribe = made(), Subscribe(1, "/api/a", "e.1")
    play(
        session,
        subscribe, [subscribe],
        Followed("/api/a", "e.4"), [Ok(1, position="e.4"), Begin("/api/a")],
        Unsubscribe(2, "/api/a"), [Leave("/api/a"), Ok(2)],
        Unsubscribe(3, "/api/a"), refused(3, "not_subscribed", 404, "this session does not follow that"),
        Lost("/api/a", NO), [],
        Followed("/api/a", "e.5"), [],
    )  # fmt: skip
    assert session.stats.subscriptions == 0
    assert session.stats.operations == {
        ("subscribe", "ok"): 1, ("unsubscribe", "ok"): 1, ("unsubscribe", "not_subscribed"): 1
    }  # fmt: skip


def test_a_channel_that_is_refused_or_ends() -> None:
    one, two = Subscribe(1, "/api/a"), Subscribe(2, "/api/b")
    play(
        made(),
        one, [one],
        Lost("/api/a", NO), [Leave("/api/a"), Error(NO, id=1)],
        two, [two],
        Followed("/api/b", "e.1"), [Ok(2, position="e.1"), Begin("/api/b")],
        Lost("/api/b", NO), [Leave("/api/b"), Error(NO, channel="/api/b")],
        two, [two],
    )  # fmt: skip


def test_unsubscribing_before_the_channel_is_there_answers_both() -> None:
    subscribe = Subscribe(1, "/api/a")
    play(
        made(),
        subscribe, [subscribe],
        Unsubscribe(2, "/api/a"), [Leave("/api/a"), Error(CANCELLED, id=1), Ok(2)],
        Followed("/api/a", "e.1"), [],
    )  # fmt: skip


def test_what_a_session_may_not_follow() -> None:
    session, subscribe = made(subscriptions=1), Subscribe(1, "/api/a")
    play(
        session,
        Subscribe(1, "/x"), refused(1, "not_allowed", 403, "this session may not follow that channel"),
        subscribe, [subscribe],
        Subscribe(2, "/api/a"), refused(2, "subscribed", 409, "this session follows that channel already"),
        Subscribe(3, "/api/b"), refused(3, "too_many", 429, "a session may have 1 subscriptions at once"),
    )  # fmt: skip
    assert session.stats.subscriptions == 1


def test_requests_run_at_once_and_are_answered_in_any_order() -> None:
    one, two = Request(1, "/a"), Request("1", "/b")
    session = made()
    play(
        session,
        one, [one],
        two, [two],
        Request(3, "/c"), refused(3, "too_many", 429, "a session may have 2 requests under way at once"),
        Response("1", 200, NOTHING), [Response("1", 200, NOTHING)],
        Request(1, "/c"), refused(1, "duplicate_id", 409, "a request with this id is under way"),
        Failed(1, NO), [Error(NO, id=1)],
        Response(1, 200, NOTHING), [],
        Failed(1, NO), [],
    )  # fmt: skip
    assert session.stats.operations["request", "ok"] == 1
    assert session.stats.operations["request", "forbidden"] == 1


def test_a_request_that_is_given_up_is_answered_once() -> None:
    request = Request(1, "/a")
    play(
        made(),
        Cancel(1), [],
        request, [request],
        Cancel(1), [Abandon(1), Error(CANCELLED, id=1)],
        Response(1, 200, NOTHING), [],
        Cancel(1), [],
        request, [request],
    )  # fmt: skip


def test_a_session_without_requests() -> None:
    play(made(requests=False), Request(1, "/a"), refused(1, "not_allowed", 403, "this session takes no requests"))


def test_publishing() -> None:
    publish = Publish(1, "chat.a", NULL)
    play(
        made(),
        Publish(1, "/api/a", NULL), refused(1, "not_allowed", 403, "this session may not publish there"),
        publish, [publish],
        Cancel(1), [],
        Published(1, "e.1"), [Ok(1, position="e.1")],
        publish, [publish],
        Failed(1, NO), [Error(NO, id=1)],
        Published(1, "e.2"), [],
    )  # fmt: skip


def test_new_credentials_apply_to_all_that_is_followed() -> None:
    session, auth, less = made(subscriptions=4), Auth(9, "t"), rules(start="/api/b", requests=False, subscriptions=4)
    one, two, three, four = (Subscribe(n, name) for n, name in enumerate(["/api/a", "/api/b", "/api/ab", "chat.a"], 1))
    no = Fault("not_allowed", 403, "this session may not follow that channel")
    play(
        session,
        one, [one],
        Followed("/api/a", "e.1"), [Ok(1, position="e.1"), Begin("/api/a")],
        two, [two],
        Followed("/api/b", "e.1"), [Ok(2, position="e.1"), Begin("/api/b")],
        three, [three],
        four, [four],
        Followed("chat.a", "e.1"), [Ok(4, position="e.1"), Begin("chat.a")],
        auth, [auth],
        Renewed(9, None, less), [
            Ok(9, expires=None),
            Leave("/api/a"), Error(no, channel="/api/a"),
            Rejoin("/api/b"),
            Leave("/api/ab"), Error(no, id=3),
        ],
        Request(5, "/"), refused(5, "not_allowed", 403, "this session takes no requests"),
        one, [Error(no, id=1)],
        Followed("/api/b", "f.1"), [],
        Lost("/api/b", NO), [Leave("/api/b"), Error(NO, channel="/api/b")],
    )  # fmt: skip
    assert session.stats.operations["auth", "ok"] == 1
    assert session.stats.subscriptions == 1


def test_new_credentials_come_one_after_the_other_and_change_nothing_when_they_are_refused() -> None:
    session, auth, request = made(), Auth(1, "t"), Request(2, "/")
    before = session.rules
    play(
        session,
        auth, [auth],
        Auth(3, "t"), refused(3, "too_many", 429, "a session may have 1 token under way at once"),
        Cancel(1), [],
        Waning("soon"), [],
        Failed(1, NO), [Error(NO, id=1)],
        Waning("soon"), [Expiring("soon")],
        Renewed(1, "late", rules(start="/x")), [],
        request, [request],
        Auth(2, "t"), refused(2, "duplicate_id", 409, "a request with this id is under way"),
        auth, [auth],
        Closed(), [Abandon(2)],
        Renewed(1, "late", rules(start="/x")), [],
    )  # fmt: skip
    assert session.rules is before
    assert session.stats.operations["auth", "closed"] == 1


def test_a_busy_session_can_be_renewed_as_well() -> None:
    one, two, auth = Request(1, "/"), Request(2, "/"), Auth(3, "t")
    play(made(), one, [one], two, [two], auth, [auth])


def test_a_session_that_was_not_opened_with_a_token_takes_none() -> None:
    why = "this session was not opened with a token, and takes none; open another with new credentials"
    play(made(renewable=False), Auth(1, "t"), refused(1, "not_renewable", 403, why), Waning("soon"), [Expiring("soon")])


def test_mistakes_are_answered_and_nonsense_ends_the_session() -> None:
    play(
        made(),
        Misread(5, "bad_message", "no channel"), refused(5, "bad_message", 400, "no channel"),
        Unintelligible("not a message"), [Disconnect(4400, "not a message", "bad_message", reconnect=False)],
    )  # fmt: skip


def test_the_end_gives_up_everything() -> None:
    session, subscribe, request, publish = made(), Subscribe(1, "/api/a"), Request(2, "/a"), Publish(3, "chat.a", NULL)
    play(
        session,
        subscribe, [subscribe],
        request, [request],
        publish, [publish],
        Closed(), [Abandon(2), Leave("/api/a")],
        Closed(), [],
        Published(3, "e.1"), [],
    )  # fmt: skip
    assert session.stats.subscriptions == 0


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: each message is answered once at most, and limits hold."""

    def __init__(self) -> None:
        super().__init__()
        self.session = made()
        self.open: dict[object, int] = {}
        self.number = 0
        self.joined: set[str] = set()

    def do(self, event: Event) -> None:
        for command in self.session.handle(event):
            match command:
                case Ok(id=answered) | Response(id=answered):
                    self.open[answered] -= 1
                case Error(id=answered) if answered is not msgspec.UNSET:
                    self.open[answered] -= 1
                case Begin(channel=channel):
                    assert channel not in self.joined
                    self.joined.add(channel)
                case Leave(channel=channel):
                    self.joined.discard(channel)

    def new(self) -> int:
        self.number += 1
        self.open[self.number] = 1
        return self.number

    channels = st.sampled_from(["/api/a", "/api/b", "/api/c", "/x"])
    ids = st.integers(1, 20)

    @rule(channel=channels)
    def subscribe(self, channel: str) -> None:
        self.do(Subscribe(self.new(), channel))

    @rule(channel=channels)
    def unsubscribe(self, channel: str) -> None:
        self.do(Unsubscribe(self.new(), channel))

    @rule()
    def request(self) -> None:
        self.do(Request(self.new(), "/"))

    @rule(number=ids)
    def cancel(self, number: int) -> None:
        self.do(Cancel(number))

    @rule(number=ids)
    def respond(self, number: int) -> None:
        self.do(Response(number, 200, NOTHING))

    @rule(channel=channels)
    def followed(self, channel: str) -> None:
        self.do(Followed(channel, "e.1"))

    @rule(channel=channels)
    def lost(self, channel: str) -> None:
        self.do(Lost(channel, NO))

    @rule()
    def auth(self) -> None:
        self.do(Auth(self.new(), "t"))

    @rule(number=ids, start=st.sampled_from(["/api", "/api/a"]))
    def renewed(self, number: int, start: str) -> None:
        self.do(Renewed(number, None, rules(start=start)))

    @rule()
    def close(self) -> None:
        self.do(Closed())

    @invariant()
    def answered_once_and_within_limits(self) -> None:
        assert all(count >= 0 for count in self.open.values())
        assert self.joined <= self.session.channels.keys()
        assert len(self.session.channels) <= 2
        assert len([op for op in self.session.asked.values() if op != "auth"]) <= 2
        assert list(self.session.asked.values()).count("auth") <= 1
        assert all(self.session.rules.subscribe(channel) for channel in self.session.channels)
        assert self.session.stats.subscriptions == len(self.session.channels)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=50, stateful_step_count=30)
