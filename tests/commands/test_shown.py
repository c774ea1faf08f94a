from __future__ import annotations

import json

import click
import pytest

from gateway.commands.shown import LONGEST, pretty, raw
from gateway.core.event import Json


def shown(kind: str, data: Json, **more: Json) -> str:
    return click.unstyle(pretty({"type": kind, "data": data, **more}, "12:00:00"))


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("snapshot", [1, 2], "snapshot 2 items, 5 bytes"),
        ("snapshot", {"a": 1}, "snapshot 7 bytes"),
        ("created", {"key": 7, "item": {"id": 7}}, 'created  7 {"id":7}'),
        ("created", {"key": 7, "item": {"id": 7}, "after": None}, 'created  7 {"id":7} after null'),
        ("updated", {"key": "a", "item": {"n": 2}, "changed": ["n", "m"], "patch": []}, 'updated  "a" n=2 -m'),
        ("updated", {"key": 1, "item": 2}, "updated  1 2"),
        ("moved", {"key": 1, "after": 3}, "moved    1 after 3"),
        ("deleted", {"key": [1, 2]}, "deleted  [1,2]"),
        ("patch", [{"op": "replace", "path": "/a", "value": 1}, {"op": "remove", "path": "/b"}],
         'patch    replace "/a" 1, remove "/b"'),
        ("merge", {"a": None}, 'merge    {"a":null}'),
        ("notify", None, "notify"),
        ("status", {"state": "stale", "reason": "none", "since": None}, 'status   state="stale" reason="none"'),
        ("gap", {"missed": 3}, "gap      missed=3"),
        ("message", "x", 'message  "x"'),
    ],
)  # fmt: skip
def test_lines(kind: str, data: Json, line: str) -> None:
    assert shown(kind, data) == f"12:00:00 {line}"


def test_a_state_that_was_begun_anew() -> None:
    assert shown("snapshot", [], reset=True).endswith("0 items, 2 bytes, begun anew")


def test_a_long_line_is_cut() -> None:
    assert len(shown("message", "x" * 1000)) == len("12:00:00 message  ") + LONGEST


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x9b2J", "\u202e", "\r", "\u2028", "\x7f"])
def test_a_terminal_is_told_nothing_but_text(bad: str) -> None:
    hostile: dict[str, Json] = {
        "type": f"ev{bad}il",
        "data": {"key": bad, "item": {bad: bad}, "changed": [bad]},
    }
    for line in (raw(hostile), click.unstyle(pretty(hostile, "12:00:00")), shown("message", bad)):
        assert bad not in line
    assert json.loads(raw(hostile)) == hostile


def test_other_languages_stay_readable() -> None:
    assert "größer 漢字 🌊" in raw({"type": "message", "data": "größer 漢字 🌊"})
