from __future__ import annotations

from gateway.config.channel_keys import ChannelKeys
from gateway.config.channels import (
    channel_of,
    channels,
    channels_are_named,
    channels_have_their_methods,
    channels_stand_alone,
)
from gateway.config.sessions import channels_are_of_use, routes_have_one_answer
from gateway.config.tree import Tree, Value
from gateway.config.webhooks import messages_reach_clients
from gateway.core.settings import ChannelSettings


def tree(*routes: Value) -> Tree:
    made = Tree(file="f")
    made.value["routes"] = list(routes)
    return made


def test_what_the_snapshot_has() -> None:
    keys = ChannelKeys(name="a.${params.id}", dotted=True, publish=True, origins=["https://a"])
    assert channel_of(keys) == ChannelSettings(name="a.${params.id}", dotted=True, publish=True, origins=("https://a",))


def test_both_spellings_are_found_and_what_is_neither_is_skipped() -> None:
    found = channels(tree({"channel": "a"}, {"channel": {"name": "b", "publish": True}}, {"channel": [1]}, {}, 5))
    assert [(path[1], name, publish) for path, _, name, publish in found] == [
        (0, "a", False),
        (1, "b", True),
        (2, "", False),
    ]


def test_each_place_has_somebody_to_fill_it() -> None:
    good: Value = {"path": "/{id}", "channel": "a.${params.id}.${claims.sub}", "auth": "x"}
    assert not list(channels_are_named(tree(good, {"path": "broken", "channel": "a.${params.id}"})))
    wrong = tree(
        {"path": "/{id}", "channel": {"name": "a.${params.di}"}},
        {"path": "/a", "channel": "a.${params.id}.${claims.sub}"},
    )
    assert [(path[1:], text.partition(":")[0]) for path, text in channels_are_named(wrong)] == [
        ((0, "channel", "name"), "the path has no parameter {di}, did you mean 'id'?"),
        ((1, "channel"), "the path has no parameter {id}"),
        ((1, "channel"), "nobody has claims here"),
    ]


def test_a_channel_is_nothing_else() -> None:
    more: Value = {"channel": "a", "upstream": "x", "session": {}, "origins": [], "auth": "x"}
    assert sorted(str(path[-1]) for path, _ in channels_stand_alone(tree(more))) == ["origins", "session", "upstream"]
    assert not list(routes_have_one_answer(tree({"channel": "a"})))


def test_methods_are_those_that_it_answers() -> None:
    def wrong(methods: list[Value], *, publish: bool = False) -> bool:
        route: Value = {"channel": {"name": "a", "publish": publish}, "methods": methods}
        return bool(list(channels_have_their_methods(tree(route))))

    assert not wrong([])
    assert not wrong(["GET"])
    assert wrong(["POST"])
    assert wrong(["GET"], publish=True)
    assert not wrong(["POST"], publish=True)
    assert not wrong(["GET", "POST"], publish=True)


def test_who_follows_is_looked_for_among_them_too() -> None:
    hook: Value = {"webhook": {"publish": [{"channel": "a.${body.id}"}, {"channel": "b.${body.id}"}]}}
    made = tree(hook, {"path": "/{id}", "channel": "a.${params.id}"})
    made.value["channels"] = {"a.*": {}}
    assert [path[3:] for path, _ in messages_reach_clients(made)] == [("publish", 1, "channel")]
    assert not list(channels_are_of_use(made))
    del made.value["routes"]
    assert [path for path, _ in channels_are_of_use(made)] == [("channels",)]
