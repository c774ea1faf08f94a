"""Golden files: add a file to tests/golden/config, and it is a test.

A file is a configuration, a line of dashes, and what comes of it: the errors exactly, or the effective
configuration. A line of dashes with a name (`----- conf.d/a.yaml`) begins one more file beside the first,
which is called gateway.yaml. Variables that `${...}` may use are in ENVIRONMENT.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import effective, load
from gateway.errors import ConfigError

FOLDER = Path(__file__).parent.parent / "golden" / "config"
CASES = sorted(FOLDER.glob("*.yaml"))
ENVIRONMENT = {
    "PORT": "8123",
    "MANY": "64",
    "DIGITS": "007",
    "WORD": "many",
    "EMPTY": "",
    "TREE": "/a, upstream: b}",
    "API_TOKEN": "s3cr3t-token",
}
_LINE = re.compile(r"^-{5,}(?: (\S+))?\n", re.MULTILINE)


def unpack(text: str) -> tuple[dict[str, str], str]:
    """The files of a case by name, and what is expected."""
    first, *rest = _LINE.split(text)
    files = {name: content for name, content in zip(rest[::2], rest[1::2], strict=True) if name}
    expected = [content for name, content in zip(rest[::2], rest[1::2], strict=True) if not name]
    assert len(expected) == 1, "a case has one line of dashes without a name"
    return {"gateway.yaml": first, **files}, expected[0]


def outcome(folder: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    try:
        return effective("gateway.yaml", ENVIRONMENT)
    except ConfigError as error:
        return f"{error}\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.stem))
def test_golden(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files, expected = unpack(case.read_text())
    assert outcome(tmp_path, files) == expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.stem))
def test_the_effective_configuration_is_one(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read again, comes out the same, and runs as the one it was made from."""
    _, expected = unpack(case.read_text())
    if "gateway.yaml:" in expected or "***" in expected:
        return
    monkeypatch.chdir(tmp_path)
    assert outcome(tmp_path, {"gateway.yaml": expected}) == expected
    load("gateway.yaml", ENVIRONMENT)


def test_there_are_many() -> None:
    assert len(CASES) >= 25
