"""Which route answers a request.

Decides on the method, the encoded path and the Host header alone; knows nothing of what a route does.

* The first route in file order that fits wins.
* The path is split at "/" first and each segment percent-decoded after, so %2F never splits. A `%`
  without two hex digits stands for itself. What is not UTF-8 decodes to U+FFFD: it fits `{name}`, `*`
  and `/**` but no literal: an odd spelling slips past no pattern, and its bytes still reach the backend.
* Dot segments are refused in every spelling: backends disagree on how to resolve them.
* `{name}` and `*` fit one segment that is not empty; a trailing `/**` fits any rest, none included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from gateway.errors import ClientError

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_DOTS = re.compile(r"\.\.?(;.*)?", re.DOTALL)  # "..;" too: servlet containers strip path parameters first
_DOT_PARTS = re.compile(r"[/\\]")
_SLASH = "\ud800"  # stands for a decoded %2F: no UTF-8 decodes to a lone surrogate
# Clients choose the paths, so what is remembered is bounded: by these, to about a megabyte.
_MEMO, _MEMO_PATH = 4096, 128
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Template:
    """A path template; made by `parse_template`.

    `segments` holds the text of a literal segment, None where any one segment fits; `names` are the
    parameters' names. `rest` is the trailing `/**`. `pattern` is all of this, compiled.
    """

    text: str
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    rest: bool
    pattern: re.Pattern[str] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def literal(self) -> bool:
        """Whether exactly one path fits."""
        return not self.rest and None not in self.segments

    def fit(self, path: str) -> Mapping[str, str] | None:
        """The parameters of a decoded path, as `decode_path` makes it; None when it does not fit."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        if not self.names:
            return _NO_PARAMS
        params = found.groupdict()
        if _SLASH in path:
            return {name: value.replace(_SLASH, "/") for name, value in params.items()}
        return params

    def covers(self, other: Template) -> bool:
        """Whether every path that fits `other` fits this one too."""
        mine, theirs = len(self.segments), len(other.segments)
        if theirs < mine or (not self.rest and (other.rest or theirs != mine)):
            return False
        pairs = zip(self.segments, other.segments, strict=False)
        return all(a == b or (a is None and b != "") for a, b in pairs)


def parse_template(text: str) -> Template:
    """Read a path template; raises ValueError that says what is wrong with it."""
    if not text.startswith("/"):
        raise ValueError("a path begins with /")
    rest = text.endswith("/**")
    parts = (text[:-3] if rest else text).split("/")[1:]
    segments = tuple(_segment(part, last=not rest and index == len(parts) - 1) for index, part in enumerate(parts))
    names = tuple(found[1] for part in parts if (found := _NAME.fullmatch(part)))
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the parameter {{{name}}} appears twice")
    return Template(text, segments, names, rest, _compile(parts, rest=rest))


def _compile(parts: Sequence[str], *, rest: bool) -> re.Pattern[str]:
    tail = "" if not rest else "(?:/.*)?" if parts else "/.*"
    return re.compile("".join(f"/{_expression(part)}" for part in parts) + tail, re.DOTALL)


def _expression(part: str) -> str:
    if found := _NAME.fullmatch(part):
        return f"(?P<{found[1]}>[^/]+)"
    return "[^/]+" if part == "*" else re.escape(part)


def _segment(part: str, *, last: bool) -> str | None:
    """A literal's text, or None for `*` and `{name}`."""
    if part == "*" or _NAME.fullmatch(part):
        return None
    for wrong, why in _MISTAKES:
        if wrong.search(part):
            raise ValueError(why.format(part))
    if not part and not last:
        raise ValueError("a segment is empty, as in //")
    return part


_MISTAKES = (
    (re.compile(r"^\*\*$"), "** stands only at the end, as in /files/**"),
    (re.compile(r"[{}]"), "{!r}: a parameter is a whole segment and its name a word, as in /orders/{{id}}"),
    (re.compile(r"\*"), "{!r}: * stands for a whole segment, as in /files/*/name"),
    (re.compile(r"[?#]"), "{!r}: a path holds no query and no fragment; queries always pass"),
    (re.compile(r"%[0-9A-Fa-f]{2}"), "{!r}: write the path decoded, without %"),
    (re.compile(r"^\.\.?$"), "{!r}: dot segments are refused in requests and can never fit"),
    (re.compile(r"[\x00-\x1f\x7f\\�]"), "{!r}: this character can never fit"),
)


class Routable(Protocol):
    """What a table needs to know of a route. No methods: all of them; no host: any."""

    @property
    def path(self) -> Template: ...
    @property
    def methods(self) -> frozenset[str]: ...
    @property
    def host(self) -> str | None: ...


R = TypeVar("R", bound=Routable)


class Match(NamedTuple, Generic[R]):
    """The route that answers, and its path's parameters, decoded."""

    route: R
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Miss:
    """No route answers; `allow` are the methods under which this path has one, sorted."""

    allow: tuple[str, ...] = ()

    def error(self) -> ClientError:
        """404, or 405 with `Allow`."""
        if not self.allow:
            return ClientError(404, "no_route", "nothing is routed here")
        error = ClientError(405, "method_not_allowed", f"allowed here: {', '.join(self.allow)}")
        return error.with_headers((b"allow", ", ".join(self.allow).encode()))


_NOT_FOUND = Miss()


class RouteTable(Generic[R]):
    """Routes in file order, compiled.

    A path that is some route's literal is answered from a dictionary of ready matches; any other is
    tried against the routes whose first segment can fit. Where no route asks for a host, the last matches are
    remembered: `by_host` tells whether `match` needs one.
    """

    __slots__ = ("_by_first", "_exact", "_memo", "_others", "by_host")

    def __init__(self, routes: Iterable[R]) -> None:
        order = tuple(routes)
        self.by_host = any(route.host is not None for route in order)
        self._memo: dict[tuple[str, bytes], Match[R]] = {}
        self._others = tuple(route for route in order if _first(route.path) is None)
        self._by_first = {
            first: tuple(route for route in order if _first(route.path) in (None, first))
            for first in {_first(route.path) for route in order} - {None}
        }
        literals = {route.path.text for route in order if route.path.literal}
        self._exact = {text.encode(): tuple(self._fitting(text)) for text in literals}

    def match(self, method: str, raw_path: bytes, host: bytes | None) -> Match[R] | Miss:
        """The first route that fits; `raw_path` is as the client sent it, without the query.

        Raises ClientError 400 for dot segments and NUL.
        """
        known = self._memo.get((method, raw_path))
        if known is not None:
            return known
        found = self._search(method, raw_path, host)
        if not self.by_host and isinstance(found, Match) and len(raw_path) <= _MEMO_PATH:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            self._memo[method, raw_path] = found
        return found

    def _search(self, method: str, raw_path: bytes, host: bytes | None) -> Match[R] | Miss:
        ready = self._exact.get(raw_path)
        if ready is not None:
            for match in ready:
                if _answers(match.route, method, host):
                    return match
            return _miss(ready, host)
        path = decode_path(raw_path)
        for route in self._near(path):
            if _answers(route, method, host):
                params = route.path.fit(path)
                if params is not None:
                    return Match(route, params)
        return _miss(self._fitting(path), host)

    def _near(self, path: str) -> Sequence[R]:
        """The routes whose first segment is this path's, or any."""
        end = path.find("/", 1)
        return self._by_first.get(path[1:end] if end > 0 else path[1:], self._others)

    def _fitting(self, path: str) -> Iterator[Match[R]]:
        for route in self._near(path):
            params = route.path.fit(path)
            if params is not None:
                yield Match(route, params)


def _first(path: Template) -> str | None:
    return path.segments[0] if path.segments else None


def _answers(route: Routable, method: str, host: bytes | None) -> bool:
    methods, name = route.methods, route.host
    return (not methods or method in methods) and (name is None or name == host_name(host))


def _miss(matches: Iterable[Match[R]], host: bytes | None) -> Miss:
    routes = (match.route for match in matches)
    allow = {method for route in routes if route.host in (None, host_name(host)) for method in route.methods}
    return Miss(tuple(sorted(allow))) if allow else _NOT_FOUND


def decode_path(raw_path: bytes) -> str:
    """An encoded path, decoded segment by segment; what is not a path, as in `OPTIONS *`, fits no template.

    Raises ClientError 400 for dot segments and NUL.
    """
    try:
        path = raw_path.decode()
    except UnicodeDecodeError:
        path = "%"
    if "%" in path or "/." in path or "\\" in path:
        return "/".join(map(_decode, raw_path.split(b"/")))
    return path


def _decode(part: bytes) -> str:
    text = unquote_to_bytes(part).decode("utf-8", "replace")
    if "." in text and any(_DOTS.fullmatch(piece) for piece in _DOT_PARTS.split(text)):
        raise ClientError(400, "dot_segments", "the path holds dot segments")
    if "\0" in text:  # ends the path for whoever reads it in C
        raise ClientError(400, "bad_target", "the path holds a NUL")
    return text.replace("/", _SLASH)


def host_name(host: bytes | None) -> str:
    """The name in a Host header, lower case, without its port."""
    if not host:
        return ""
    text = host.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and (port.isdigit() or not port) else text
