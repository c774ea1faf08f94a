"""What the process says about itself: one place that every logger writes to, on stderr.

JSON lines for machines; plain lines when a person reads on a terminal. Loggers of ours are `tidegate.*` and
follow the chosen level; of all others only warnings and worse are kept. Text passes a last redaction, and no
text can begin a line of its own. A stalled reader costs lines, never the event loop (see `sink`).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from gateway.admin.sink import Sink, Target
from gateway.core.redact import is_secret, redact_text

Level = Literal["debug", "info", "warning", "error"]
Style = Literal["auto", "json", "text"]
LEVELS: tuple[Level, ...] = get_args(Level)

STDERR = 2
LONGEST = 16_000  # characters of a message or a traceback: what log shippers take in one piece

# Hypercorn brings a handler of its own unless it is given a logger: give it this one.
HYPERCORN = "hypercorn.error"
_OTHERS = (HYPERCORN, "hypercorn.access", "asyncio", "py.warnings")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# C0, C1, line separators and the marks that reverse text: nothing that could redraw a terminal.
_CODES = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CODES}
_KEEP_LINES = {**_CONTROLS, ord("\n"): "\n    "}


class JsonLines(logging.Formatter):
    """A record as one JSON object; what the caller passed as `extra` become fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
        }
        if error := _error(self, record):
            fields["error"] = error
        return json.dumps({**_extra(record), **fields}, default=str) + "\n"


class PlainLines(logging.Formatter):
    """A record for a person: time of day, level, logger, message, then the traceback, indented."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        message = (_clean(record.getMessage()) + extra).translate(_CONTROLS)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        error = _error(self, record).translate(_KEEP_LINES)
        tail = f"\n    {error}" if error else ""
        return f"{clock} {record.levelname.lower():7} {record.name}: {message}{tail}\n"


class SinkHandler(logging.Handler):
    """Formats on the caller's side and leaves the writing to the sink's thread."""

    def __init__(self, sink: Sink, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.put(self.format(record))
        except Exception:  # as every handler of the standard library: a bad format string stops nobody
            self.handleError(record)


@contextmanager
def logging_to(fd: int = STDERR, *, level: Level = "info", style: Style = "auto") -> Iterator[None]:
    """Send every logger of the process to `fd` until the end of the block, then put back what was before."""
    sink = Sink(Target(fd), name="log", interval=0, report=_report)
    handler = SinkHandler(sink, _formatter(fd, style))
    root, ours = logging.getLogger(), logging.getLogger("tidegate")
    before = root.handlers[:], root.level, ours.level
    _quiet()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    ours.setLevel(level.upper())
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])
        sink.close()


def _formatter(fd: int, style: Style) -> logging.Formatter:
    plain = style == "text" or (style == "auto" and os.isatty(fd))
    return PlainLines() if plain else JsonLines()


def _quiet() -> None:
    """Whatever these loggers were given before, they now pass on to the root."""
    for name in _OTHERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def _report(text: str) -> None:
    logging.getLogger("tidegate.logs").warning("log: %s", text)


def _time(created: float) -> str:
    second, millisecond = divmod(int(created * 1000), 1000)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{millisecond:03d}Z", time.gmtime(second))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {name: _field(name, value) for name, value in fields.items()}


def _field(name: str, value: object) -> object:
    if is_secret(name):
        return "REDACTED"
    return _clean(value) if isinstance(value, str) else value


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return _clean("\n".join(parts), keep_end=True)


def _clean(text: str, *, keep_end: bool = False) -> str:
    text = redact_text(text)
    if len(text) <= LONGEST:
        return text
    return "..." + text[-LONGEST:] if keep_end else text[:LONGEST] + "..."
