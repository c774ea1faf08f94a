from __future__ import annotations

import pytest

from gateway.core.event import Json
from gateway.core.recorded import Expected, differences


def event(kind: str, data: Json = None) -> dict[str, Json]:
    return {"type": kind, "data": data}


def test_as_expected() -> None:
    told = [event("snapshot", [1]), event("gap", {"missed": 3})]
    assert list(differences([Expected(type="snapshot", data=[1]), Expected(type="gap", exact=False)], told)) == []


@pytest.mark.parametrize(
    ("expected", "told", "lines"),
    [
        ([], [event("gap", 1)], ['event 1: nothing expected, but there came {"type": "gap", "data": 1}']),
        ([Expected(type="gap")], [], ["event 1: gap expected, but nothing came"]),
        (
            [Expected(type="gap", data=1)],
            [event("patch", 1)],
            ['event 1: gap expected, but there came {"type": "patch", "data": 1}'],
        ),
        (
            [Expected(type="gap", data={"a": 1, "b": 1, "c": 1})],
            [event("gap", {"a": True, "c": 1, "d": "x" * 300})],
            [
                "event 1: gap has other data than expected",
                "  /b: expected, but not there",
                "  /a: came as true",
                f'  /d: not expected: "{"x" * 159}...',
            ],
        ),
        (
            [Expected(type="gap")],
            [event("gap", 5)],
            ["event 1: gap has other data than expected", "  the whole: came as 5"],
        ),
    ],
)
def test_otherwise(expected: list[Expected], told: list[dict[str, Json]], lines: list[str]) -> None:
    assert list(differences(expected, told)) == lines
