from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.recorded import run_test, run_tests
from tests.commands.played import CONFIG, settings

GOOD = """\
tests:
  - name: a shirt is sold
    url: /api/shirts
    headers: {Authorization: of-ada}
    steps:
      - answer: {headers: {ETag: '"1"'}, body: [{id: 1, stock: 2, note: null}]}
        events: [{type: snapshot, data: [{id: 1, stock: 2, note: null}]}]
      - answer: {body: [{id: 1, stock: 1, note: null}]}
        events: [{type: updated}]
      - answer: {text: "[]"}
        events: [{type: deleted, data: {key: 1}}]
      - answer: none
      - answer: none
      - {answer: {status: 500}, events: [{type: status}]}
      - {answer: {status: 401}, events: [{type: refused, data: {status: 401}}]}
"""


async def outcome(folder: Path, tests: str) -> list[str]:
    config = settings(folder, CONFIG + tests)
    return [line for test in config.tests for line in await run_test(config, test)]


async def test_answers_in_and_events_out(tmp_path: Path) -> None:
    said: list[str] = []
    assert await run_tests(settings(tmp_path, CONFIG + GOOD), said.append) == 0
    assert said == ["ok      a shirt is sold"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("key: 1}", "key: 2}"), "step 3, event 1: deleted has other data than expected"),
        (("type: updated", "type: created"), "step 2, event 1: created expected, but there came"),
        (("events: [{type: updated}]", "events: []"), "step 2, event 1: nothing expected, but there came"),
        (("[{type: updated}]", "[{type: updated}, {type: gap}]"), "step 2, event 2: gap expected, but nothing came"),
        (("url: /api/shirts", "url: /api/shirts?live.mode=x"), "live.mode=x is not offered here"),
    ],
)
async def test_what_is_otherwise_is_told(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    lines = await outcome(tmp_path, GOOD.partition("      - answer: none")[0].replace(*change))
    assert lines[0].startswith(complaint)


async def test_documents_are_compared_and_told_in_their_normal_form(tmp_path: Path) -> None:
    config = CONFIG.replace("items: {key: id}", "items: {key: id, round: 2, unordered: [tags]}")
    tests = """\
tests:
  - name: noise is no news
    url: /api/shirts
    steps:
      - answer: {body: [{id: 1, price: 9.504, tags: [s, m]}]}
        events: [{type: snapshot, data: [{id: 1, price: 9.5, tags: [m, s]}]}]
      - answer: {body: [{id: 1, price: 9.498, tags: [m, s]}]}
"""
    assert await run_tests(settings(tmp_path, config + tests), lambda _: None) == 0
