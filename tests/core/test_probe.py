from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.config import load
from gateway.core.event import Json
from gateway.core.http import Answer
from gateway.core.probe import Look, proposal, study


def look(document: Json, at: float = 0.0, *, status: int = 200, conditional: bool = False, **headers: str) -> Look:
    pairs = tuple((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items())
    answer = Answer(status=status, headers=pairs, body=json.dumps(document).encode() if status == 200 else b"")
    return Look(answer=answer, at=at, conditional=conditional, document=document if status == 200 else None)


def items(*looks: Look) -> dict[str, str]:
    return {key: value for key, value, _ in study(looks).items}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([{"id": 1}, {"id": 2}], {"key": '"id"'}),
        ({"meta": {}, "data": {"rows": [{"order_id": "a"}]}}, {"at": '"data.rows"', "key": '"order_id"'}),
        ({"odd name": [{"uuid": "x"}]}, {"at": '"\\"odd name\\""', "key": '"uuid"'}),
        ({"a": [{"id": 1}], "b": [{"id": 1}, {"id": 2}]}, {"at": '"b"', "key": '"id"'}),
        ([{"id": 1, "slug": "a"}, {"id": 1, "slug": "b"}], {"key": '"slug"'}),
        ([{"id": None}], {}),
        ([{"id": True}], {}),
        ([{"x": 1}, {"x": 1}], {}),
        ([1, 2], {}),
        ([], {}),
        ("text", {}),
        ({"a": {"b": {"c": {"d": [{"id": 1}]}}}}, {}),
    ],
)
def test_lists_and_their_keys(document: Json, found: dict[str, str]) -> None:
    assert items(look(document)) == found


def test_fields_that_change_with_every_answer() -> None:
    looks = [look([{"id": 1, "now": n, "stock": 1}, {"id": 2, "now": n, "stock": n}], n) for n in range(4)]
    assert items(*looks)["ignore"] == '["now"]'
    assert "ignore" not in items(*looks[:2])


def test_the_pace() -> None:
    changing = [look([{"id": 1, "n": n}], 5.0 * n) for n in range(13)]
    assert study(changing).poll[0][:2] == ("interval", "2s")
    assert study(changing[:1]).poll[0][:2] == ("interval", "5s")
    assert ("credentials", "none") in [key[:2] for key in study([look([], cache_control="public, max-age=5")]).poll]


@pytest.mark.parametrize(
    ("document", "headers", "pages"),
    [
        ([{"id": 1}], {"link": '</x?page=2>; rel="next"'}, "link"),
        ([{"id": 1}], {"link": '</x?page=1>; rel="prev"'}, None),
        ([{"id": 1}], {"next_page": "http://a/x?_token=1"}, "{header: Next-Page}"),
        ({"data": [{"id": 1}], "next": "/x?page=2"}, {}, "{field: next}"),
        ({"data": [{"id": 1}], "next": 7}, {}, None),
        ({"data": [{"id": 1}], "next": None}, {}, None),
        ({"a": 1, "next": "/x"}, {}, None),
    ],
)
def test_how_a_list_goes_on(document: Json, headers: dict[str, str], pages: str | None, tmp_path: Path) -> None:
    findings = study([look(document, 0.0, **headers)])  # type: ignore[arg-type]  # headers alone
    assert {key: value for key, value, _ in findings.poll}.get("pages") == pages
    (tmp_path / "a.yaml").write_text(proposal("http://a", "/x", findings))
    assert load(str(tmp_path / "a.yaml"), {}).routes[0].live is not None


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([look([])], "no ETag and no Last-Modified"),
        ([look([], etag="1"), look([], 5, conditional=True, etag="1")], "answered no conditional request with 304"),
        ([look([], etag="1"), look(None, 5, status=304, conditional=True)], "1 of 1 conditional requests"),
        ([look([], link='<x>; rel="next"')], "a Link header leads to a next page"),
        ([look([], next_page="y")], "the header next-page speaks of pages"),
        ([look({"next": "x", "data": []})], "the field 'next' speaks of pages"),
        ([look([], x_ratelimit_remaining="7")], "x-ratelimit-remaining: 7"),
        ([look([], x_poll_interval="60")], "asks to be polled every 60 s"),
        ([look([], cache_control="private")], "differ from user to user"),
        ([look([], cache_control="max-age=60")], "how long answers hold (Cache-Control: max-age=60)"),
        ([look({"a": 1})], "one document"),
        ([look([{"x": 1}, {"x": 1}])], "no field tells its items apart"),
    ],
)
def test_notes(looks: list[Look], words: str) -> None:
    assert any(words in note for note in study(looks).notes)


@pytest.mark.parametrize(
    "document",
    [
        {"${PATH}": [{"${HOME}": 1}]},
        {"x\u0085admin: off": [{"id\nadmin: off": 1}]},
        [{"#": 1}],
        {"next": "#", "data": [{"id": 1}]},
    ],
)
def test_nothing_an_api_says_becomes_configuration(document: Json, tmp_path: Path) -> None:
    hostile = look(
        document,
        cache_control="public\u0085admin: off",
        x_ratelimit_limit="\u0085admin: off\u2028".encode("latin-1", "ignore").decode("latin-1"),
    )
    text = proposal("http://a", "/x", study([hostile]))
    (tmp_path / "a.yaml").write_text(text)
    config = load(str(tmp_path / "a.yaml"), {"PATH": "p", "HOME": "h"})
    assert config.admin is not None
    assert config.routes[0].live is not None
