"""What deliveries mean: messages, paths, and what could not be made out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.channel_names import is_message_name
from gateway.core.delivery import (
    Mapper,
    Meaning,
    channel_name,
    delivery_text,
    id_text,
    path_shape,
    path_text,
    values_of,
)
from gateway.core.event import Json
from gateway.core.settings import Publication, WebhookSettings

BODY: Json = {
    "type": "order.paid",
    "id": 7,
    "who": {"mail": "a.b@c.d", "name": "Ada", "path": "a/b ä?#%"},
    "list": [1, 2],
    "empty": "",
    "nothing": None,
}
HEADERS = ((b"X-GitHub-Event", b"push"), (b"x-github-event", b"second"), (b"X-Empty", b""))
VALUES = values_of(BODY, HEADERS)


def meaning(body: Json = BODY, **settings: object) -> Meaning:
    mapper = Mapper(WebhookSettings(verify=None, **settings))  # type: ignore[arg-type]  # as the test names them
    return mapper.meaning(values_of(body, HEADERS))


def published(**one: object) -> Meaning:
    return meaning(publish=(Publication(**one),))  # type: ignore[arg-type]  # as the test names them


def test_the_first_of_each_header_by_its_name_in_lower_case() -> None:
    assert VALUES["header"] == {"x-github-event": "push", "x-empty": ""}
    for text in ("${header.X-GitHub-Event}", "${header.x-github-event}", '${header."X-GitHub-Event"}'):
        assert delivery_text(text)(VALUES) == "push"


@pytest.mark.parametrize(
    ("channel", "wanted"),
    [
        ("orders.${body.id}", "orders.7"),
        ("${body.who.name}", "Ada"),
        ("${header.X-GitHub-Event}.${body.id}", "push.7"),
        ("orders.new", "orders.new"),
        ("orders.${body.list}", "orders.[1,2]"),
        ("orders.${body.nothing}", None),
        ("orders.${body.none}", None),
        ("orders.${body.id.none}", None),
        ("orders.${body.empty}", None),
        ("order-${body.empty}", None),
        ("orders.${header.x-empty}", None),
        ("orders.${header.x-none}", None),
        ("orders.${body.who.mail}", None),
        ("orders.${body.who.path}", None),
    ],
)
def test_a_channel_is_named_whole_or_not_at_all(channel: str, wanted: str | None) -> None:
    found = published(channel=channel)
    assert [name for name, _ in found.messages] == ([wanted] if wanted else [])
    assert found.faults == ([] if wanted else [("channel", channel)])


def test_values_with_dots_only_where_the_operator_says_so() -> None:
    """Or one customer's name could be that of another's channel."""
    assert published(channel="mail.${body.who.mail}").messages == []
    assert published(channel="mail.${body.who.mail}", dotted=True).messages == [("mail.a.b@c.d", BODY)]
    assert published(channel="mail.${body.empty}", dotted=True).messages == []


@given(value=st.text(), dotted=st.booleans())
def test_no_value_makes_another_shape_of_name(value: str, dotted: bool) -> None:
    found = meaning({"a": value}, publish=(Publication(channel="x.${body.a}.y", dotted=dotted),))
    for name, _ in found.messages:
        assert is_message_name(name)
        assert name == f"x.{value}.y"
        assert dotted or name.count(".") == 2
    assert len(found.messages) + len(found.faults) == 1


def test_type_and_data() -> None:
    assert published(channel="a").messages == [("a", BODY)]
    assert published(channel="a", data="body.who.name").messages == [("a", "Ada")]
    assert published(channel="a", data="body.empty").messages == [("a", "")]
    assert published(channel="a", type="${body.type}", data="body.{id: id}").messages == [
        ("a", {"type": "order.paid", "data": {"id": 7}})
    ]
    for one, fault in (
        ({"data": "body.none"}, ("data", "body.none")),
        ({"data": "length(body.id)"}, ("data", "length(body.id)")),
        ({"type": "${body.none}"}, ("type", "${body.none}")),
    ):
        found = published(channel="a", **one)
        assert (found.messages, found.faults) == ([], [fault])


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("body.type == 'order.paid'", True),
        ("body.id", True),
        ("header.\"x-github-event\" == 'push'", True),
        ("contains(['order.paid', 'order.sent'], body.type)", True),
        ("body.type == 'other'", False),
        ("body.none", False),
        ("body.empty", False),
        ("`0`", True),
    ],
)
def test_when(when: str, holds: bool) -> None:
    assert len(published(channel="a", when=when).messages) == holds
    found = meaning(when=when, publish=(Publication(channel="a"),), refresh=("/a",))
    assert (found.wanted, len(found.messages), len(found.paths)) == (holds, holds, holds)
    assert found.faults == []


def test_a_condition_that_cannot_be_decided_does_not_hold_and_is_told() -> None:
    found = published(channel="a", when="length(body.id) > `1`")
    assert (found.messages, found.faults) == ([], [("when", "length(body.id) > `1`")])
    assert not meaning(when="length(body.id)").wanted


def test_paths_are_encoded_and_each_asked_for_once() -> None:
    found = meaning(
        refresh=("/api/${body.id}", "/api/7", "/api/${body.who.path}", "/api/${body.none}", "/b-${body.id}.x")
    )
    assert found.paths == [b"/api/7", b"/api/a%2Fb%20%C3%A4%3F%23%25", b"/b-7.x"]
    assert found.faults == [("refresh", "/api/${body.none}")]
    assert meaning({"a": "\ud800"}, refresh=("/api/${body.a}",)).paths == []


@given(value=st.text())
def test_a_value_is_one_segment(value: str) -> None:
    for path in meaning({"a": value}, refresh=("/api/${body.a}/x",)).paths:
        assert path.count(b"/") == 3
        assert not set(path) & set(b"?# \r\n\\")


@pytest.mark.parametrize(
    ("text", "fits", "other"),
    [("/api/${body.id}", "/api/7", "/api/7/x"), ("/a/x-${body.id}/b", "/a/x-7/b", "/a/b"), ("/api", "/api", "/api/7")],
)
def test_the_shape_of_a_path(text: str, fits: str, other: str) -> None:
    assert path_shape(text).fit(fits) is not None
    assert path_shape(text).fit(other) is None


@pytest.mark.parametrize(
    "text", ["api/${body.id}", "/api/{id}", "/api/*", "/api/**", "/api/${id}", "/a/../b", "/${body.a"]
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|segment|without its|expected"):
        path_text(text)


@pytest.mark.parametrize(
    "text", ["", "/a.${body.id}", "a.*", "a..b", "a b", "${claims.sub}", "a.${body}", "a." + "b" * 200]
)
def test_what_is_no_channel(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        channel_name(text)


def test_ids_are_of_something() -> None:
    assert id_text("${header.X-GitHub-Event}:${body.id}")(VALUES) == "push:7"
    assert id_text("${body.empty}")(VALUES) is None
    with pytest.raises(ValueError, match="differs from delivery to delivery"):
        id_text("id")
