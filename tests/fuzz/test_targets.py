"""Some hundred cases of each target in every run; with `-m fuzz`, FUZZ_SECONDS of them (`make fuzz`)."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.explore import FOUND, explore, for_seconds, once
from tests.fuzz.streams import read
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))


@pytest.mark.parametrize("name", TARGETS)
def test_some_cases(name: str) -> None:
    assert explore(name, once(), examples=300) >= 300


@pytest.mark.parametrize("name", TARGETS)
def test_cases_that_failed_once(name: str) -> None:
    make, _ = TARGETS[name]
    target = make()
    for path in sorted((FOUND / name).glob("*.txt")):
        target.run(read(path.read_text()))
    target.world.close()


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", TARGETS)
def test_for_as_long_as_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = explore(name, for_seconds(SECONDS))
    with capsys.disabled():
        print(f"\n{name}: {done} cases in {SECONDS:g} s, nothing found")
