from __future__ import annotations

import pytest

from gateway.core.channel_names import (
    allows,
    allows_messages,
    is_message_name,
    message_name,
    message_pattern,
    params_in,
)
from gateway.core.route import parse_template


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("/api/shirts", True),
        ("/api/shirts?size=M", True),
        ("/api", True),
        ("/apis", False),
        ("/%61pi/shirts", True),
        ("/api/../private", False),
        ("/api/%2e%2e/private", False),
        ("/orders/7/lines", True),
        ("/orders//lines", False),
        ("", False),
        ("api", False),
        ("/api/\ud800", False),
    ],
)
def test_names(name: str, allowed: bool) -> None:
    assert allows((parse_template("/api/**"), parse_template("/orders/{id}/lines")))(name) is allowed


def test_without_patterns_nothing_is_open() -> None:
    assert not allows(())("/api")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("chat.room1", True),
        ("chat.room1.typing", True),
        ("chat.ä", True),
        ("chat", False),
        ("chat.", False),
        ("chat..x", False),
        ("chats.x", False),
        ("chat.a b", False),
        ("chat.a\n", False),
        ("chat.\ud800", False),
        ("chat." + "x" * 195, True),
        ("chat." + "x" * 196, False),
        ("orders.ada", True),
        ("orders.ada.x", False),
        ("orders.*", False),
        ("orders.${claims.sub}", False),
        ("own.ada.x", True),
        ("own.eve.x", False),
        ("", False),
    ],
)
def test_channels_of_messages(name: str, allowed: bool) -> None:
    fits = allows_messages(("chat.*", "orders.${claims.sub}", "own.${claims.sub}.*"), {"sub": "ada"})
    assert fits(name) is allowed


def test_claims_open_no_channels_of_others() -> None:
    patterns = ("orders.${claims.sub}", "own.${claims.sub}.*")
    for sub in ("*", "", None, " ", "ada.*"):
        fits = allows_messages(patterns, {"sub": sub})
        assert not any(fits(name) for name in ("orders.ada", "orders.", "own.ada.x", "own..x", "own.x", "orders.ada.x"))
    fits = allows_messages(patterns, {"sub": "ada.x"})
    assert fits("orders.ada.x")
    assert not fits("own.ada.x.secret"), "that is a channel of ada's"
    assert not allows_messages(patterns, {})("orders.ada")


def test_every_channel_but_paths() -> None:
    fits = allows_messages(("*",), {})
    assert fits("x")
    assert fits("x.y")
    assert not fits("/x")


@pytest.mark.parametrize("text", ["a*", "*.a", "a.*.b", "a..b", "", "/a", "a b", "${params.id}", "${claims.sub", "a."])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        message_pattern(text)
    assert not is_message_name("a..b")


@pytest.mark.parametrize(
    ("customer", "name"),
    [
        ("7", "orders.7"),
        ("ada@example", "orders.ada@example"),
        (7, "orders.7"),
        ("", None),
        (None, None),
        ("7.lines", None),
        (1.5, None),
        ("a b", None),
        ("a\n", None),
        ("x" * 194, None),
    ],
)
def test_a_value_in_a_name_is_one_part_of_it(customer: object, name: str | None) -> None:
    render = message_name("orders.${params.customer}")
    assert render({"params": {"customer": customer}, "claims": {}}) == name


def test_values_with_dots_are_several_parts_where_that_is_said() -> None:
    render = message_name("mail.${claims.email}.${params.box}", dotted=True)
    values = {"claims": {"email": "ada@example.org"}, "params": {"box": "in"}}
    assert render(values) == "mail.ada@example.org.in"
    for wrong in ("", ".", "a.", ".a", "a..b"):
        assert render({**values, "params": {"box": wrong}}) is None
    assert message_name("news")({}) == "news"
    assert message_name("a${params.x}b")({"params": {"x": ""}}) is None, "nor does nothing stand for a part of one"


@pytest.mark.parametrize(
    "text", ["", "/a", "orders.*", "orders.", "a b", "${params.x", "${body.x}", "a.${claims}", "..x"]
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|without"):
        message_name(text)


def test_the_parameters_in_a_text() -> None:
    assert params_in('a.${params.x}.${params."y"}.${claims.params}.${params.z.deep}') == ["x", "y", "z"]
