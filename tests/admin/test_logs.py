from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator

import pytest

from gateway.admin.logs import HYPERCORN, LEVELS, JsonLines, Level, PlainLines, Style, logging_to


class Pipe:
    """The reading end of what a process logs to."""

    def __init__(self) -> None:
        self._out, self.fd = os.pipe()

    def text(self) -> str:
        os.close(self.fd)
        with open(self._out, encoding="utf-8") as reader:
            return reader.read()

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """pytest's own handlers come back even when a test fails in between."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    assert root.handlers == handlers
    assert root.level == level


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "tidegate.live", "levelno": 30, "levelname": "WARNING", "msg": message})
    made.args = args
    made.created = 1_790_000_000.0625
    vars(made).update(extra)
    return made


def failure(message: str, error: Exception) -> logging.LogRecord:
    try:
        raise error
    except Exception as raised:
        return record(message, exc_info=(type(raised), raised, raised.__traceback__))


def test_a_record_as_json() -> None:
    line = JsonLines().format(record("poll of %s failed", "/api/shirts", route="/api/shirts", attempt=3))
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "2026-09-21T14:13:20.062Z",
        "level": "warning",
        "logger": "tidegate.live",
        "message": "poll of /api/shirts failed",
        "route": "/api/shirts",
        "attempt": 3,
    }


def test_extra_fields_cannot_replace_ours() -> None:
    fields = json.loads(JsonLines().format(record("x", level="fine", time="never", logger="me")))
    assert (fields["level"], fields["logger"]) == ("warning", "tidegate.live")


def test_an_error_has_its_traceback_in_a_field() -> None:
    line = JsonLines().format(failure("a bug", ValueError("bad\nvalue")))
    assert line.count("\n") == 1
    error = json.loads(line)["error"]
    assert error.startswith("Traceback (most recent call last):\n")
    assert error.endswith("ValueError: bad\nvalue")


@pytest.mark.parametrize("formatter", [JsonLines(), PlainLines()])
def test_credentials_are_hidden_in_messages_extras_and_tracebacks(formatter: logging.Formatter) -> None:
    made = failure("GET https://u:s3cr3t@x/?token=s3cr3t", ValueError("Authorization: Bearer s3cr3t"))
    made.url = "/x?api_key=s3cr3t"
    made.password = "s3cr3t"
    assert "s3cr3t" not in formatter.format(made)


def test_a_line_for_a_person() -> None:
    line = PlainLines().format(record("poll of %s failed", "/api/shirts", route="/api/shirts"))
    assert line[2] == line[5] == ":"
    assert line[8:] == " warning tidegate.live: poll of /api/shirts failed route=/api/shirts\n"


def test_no_text_begins_a_line_of_its_own_or_moves_the_cursor() -> None:
    line = PlainLines().format(record("a\nb\r\x1b[2J\x9b\u2028\u202e", extra="c\nd"))
    assert line.count("\n") == 1
    assert "a\\x0ab\\x0d\\x1b[2J\\x9b\\u2028\\u202e extra=c\\x0ad" in line


def test_a_traceback_for_a_person_is_indented() -> None:
    lines = PlainLines().format(failure("a bug", ValueError("bad\n12:00:00 info forged\x1b[2J"))).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("    ") for line in lines[1:])
    assert "\x1b" not in "".join(lines)


def test_what_is_very_long_is_cut_where_it_matters_least() -> None:
    fields = json.loads(JsonLines().format(failure("x" * 100_000, ValueError("y" * 100_000 + "end"))))
    assert len(fields["message"]) < 20_000
    assert fields["error"].endswith("yend")


def test_levels(pipe: Pipe) -> None:
    with logging_to(pipe.fd, level="info", style="json"):
        logging.getLogger("tidegate.live").debug("too fine")
        logging.getLogger("tidegate.live").info("ours")
        logging.getLogger("somebody").info("not ours")
        logging.getLogger("somebody").warning("theirs")
    assert [each["message"] for each in pipe.records()] == ["ours", "theirs"]


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_shows_itself_and_worse(pipe: Pipe, level: Level) -> None:
    with logging_to(pipe.fd, level=level, style="json"):
        for each in LEVELS:
            logging.getLogger("tidegate.x").log(logging.getLevelNamesMapping()[each.upper()], each)
    assert [each["level"] for each in pipe.records()] == list(LEVELS[LEVELS.index(level) :])


def test_hypercorn_and_warnings_end_in_the_same_place(pipe: Pipe) -> None:
    logger = logging.getLogger(HYPERCORN)
    logger.addHandler(logging.StreamHandler())
    with warnings.catch_warnings(), logging_to(pipe.fd, style="json"):
        warnings.simplefilter("always")
        assert logger.handlers == []
        logger.info("running on")
        logger.error("in error")
        warnings.warn_explicit("old", DeprecationWarning, "x.py", 1)
    first, second = pipe.records()
    assert (first["logger"], first["message"]) == (HYPERCORN, "in error")
    assert second["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in str(second["message"])


@pytest.mark.parametrize(("style", "machine"), [("auto", True), ("json", True), ("text", False)])
def test_style(pipe: Pipe, style: Style, machine: bool) -> None:
    with logging_to(pipe.fd, style=style):
        logging.getLogger("tidegate").warning("x")
    assert pipe.text().startswith("{") is machine


def test_a_terminal_gets_plain_text() -> None:
    reader, terminal = os.openpty()
    with logging_to(terminal):
        logging.getLogger("tidegate").warning("for a person")
    assert b"warning tidegate: for a person" in os.read(reader, 1000)
    os.close(terminal)
    os.close(reader)


def test_everything_is_as_before_after_the_block(pipe: Pipe) -> None:
    ours = logging.getLogger("tidegate")
    before = ours.level
    with logging_to(pipe.fd, level="debug"):
        assert ours.isEnabledFor(logging.DEBUG)
    assert ours.level == before
    assert pipe.text() == ""


def test_a_reader_that_is_gone_stops_nobody() -> None:
    out, into = os.pipe()
    os.close(out)
    with logging_to(into):
        for _ in range(100):
            logging.getLogger("tidegate").warning("nobody reads this")
    os.close(into)
