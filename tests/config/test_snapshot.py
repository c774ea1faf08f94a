"""The whole way from a file to a snapshot; golden files have what is printed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import effective, load, load_from_environment, plugins
from gateway.errors import ConfigError

TEXT = """
limits: {connections: "${MANY}", header_bytes: "${SIZE}"}
upstreams:
  a: {url: "http://${HOST}", pool: {max: "${MANY}"}}
routes:
  - {path: /**, name: "${MANY}", upstream: a}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "c.yaml").write_text(TEXT)
    return str(tmp_path / "c.yaml")


def test_text_from_outside_becomes_a_number_only_where_one_is_wanted(file: str) -> None:
    made = load(file, {"MANY": "12", "SIZE": "8KB", "HOST": "12"})
    assert (made.limits.connections, made.limits.header_bytes) == (12, 8192)
    assert made.upstreams["a"].pool.max == 12
    assert made.upstreams["a"].host == "12"
    assert made.routes[0].name == "12"


def test_text_from_outside_that_is_no_number_is_told(file: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(file, {"MANY": "lots", "SIZE": "1", "HOST": "a b"})
    assert [(problem.line, problem.path) for problem in wrong.value.problems] == [
        (2, "limits.connections"),
        (2, "limits.header_bytes"),
        (4, "upstreams.a.url"),
        (4, "upstreams.a.pool.max"),
    ]


def test_numbers_in_plain_sight_are_told_too(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("limits: {connections: '12', channels: '${N}'}\nroutes: [{path: /, upstream: a}]")
    with pytest.raises(ConfigError) as wrong:
        load(str(tmp_path / "c.yaml"), {"N": "3"})
    assert [problem.path for problem in wrong.value.problems] == ["limits.connections", "routes[0].upstream"]


def test_the_same_file_with_the_same_environment_is_the_same_snapshot(file: str) -> None:
    environ = {"MANY": "12", "SIZE": "8KB", "HOST": "h"}
    assert load(file, environ) == load(file, environ)
    assert effective(file, environ) == effective(file, environ)


def test_from_the_environment(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TIDEGATE_CONFIG": file, "MANY": "7", "SIZE": "8KB", "HOST": "h"}.items():
        monkeypatch.setenv(name, value)
    assert load_from_environment().limits.connections == 7


def test_two_plugins_of_one_name_are_the_operators_to_sort_out(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(kind: str) -> None:
        raise ValueError("two sources are called 'poll': a:b and c:d")

    monkeypatch.setattr(plugins, "find", find)
    with pytest.raises(ConfigError, match="two sources are called 'poll'"):
        load(file, {"MANY": "7", "SIZE": "8KB", "HOST": "h"})


GOLDEN = [file.read_text().split("-----")[0] for file in (Path(__file__).parent.parent / "golden" / "config").iterdir()]
BITS = [
    *(
        "null",
        "{}",
        "[]",
        "~",
        '"\\0"',
        "-1",
        "1e999",
        "${A}",
        "${API_TOKEN}",
        "&a",
        "*a",
        "true",
        "'",
        '"',
        ": ",
        "- ",
    ),
    *(
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        "/**",
        "{id}",
        "items",
        "poll",
        "http://[]",
        "é",
        "!x",
        "<<",
        "unix:/",
        "%2F",
        "tls",
    ),
]
EDIT = st.tuples(st.integers(0, 400), st.sampled_from([0, 0, 1, 3, 8]), st.sampled_from(BITS))


@given(st.sampled_from(GOLDEN), st.lists(EDIT, max_size=3), st.sampled_from(["", "1", "x", "${A}", "a\0b"]))
def test_whatever_is_written_is_taken_or_told(
    tmp_path_factory: pytest.TempPathFactory, text: str, edits: list[tuple[int, int, str]], value: str
) -> None:
    for start, length, bit in edits:
        text = text[:start] + bit + text[start + length :]
    file = tmp_path_factory.getbasetemp() / "edited.yaml"
    file.write_text(text)
    with contextlib.suppress(ConfigError):
        effective(str(file), {"A": value, "MANY": "3", "PORT": "1", "API_TOKEN": "s3cr3t"})
