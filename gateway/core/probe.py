"""What some answers of an API tell about how to watch it, and the configuration that follows from that.

Pure: looks at what was answered, and guesses. Every guess comes with what it rests on, as a comment in the YAML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from gateway.core.event import Json
from gateway.core.http import Answer, header

# Names that identify things in most APIs, the likeliest first.
_KEYS = ("id", "_id", "uuid", "guid", "key", "slug", "code", "sku", "name", "number")
_RATES = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit",
    "retry-after",
)
_PAGES = (
    "next",
    "next_page",
    "nextpage",
    "next_cursor",
    "cursor",
    "next_url",
    "has_more",
    "total",
    "total_pages",
    "page",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One answer; `conditional` if validators were sent, `at` seconds since the first."""

    answer: Answer
    at: float
    conditional: bool = False
    document: Json = None


@dataclass(slots=True)
class Findings:
    """What to write, and why: `poll` and `items` are keys with their values and reasons, `notes` the rest."""

    poll: list[tuple[str, str, str]] = field(default_factory=list)
    items: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def study(looks: Sequence[Look]) -> Findings:
    """Findings of the looks at one URL, the earliest first; there is at least one."""
    findings = Findings()
    bodies = [look for look in looks if look.answer.status == 200]
    findings.notes += _validators(looks)
    if bodies:
        _pace(looks, bodies, findings)
        _list(bodies, findings)
    findings.notes += _headers(looks[0].answer)
    return findings


def proposal(base: str, path: str, findings: Findings, query: str = "") -> str:
    """The configuration in YAML, a comment for each guess. `base` is the backend's URL."""
    lines = [f"# {_plain(note)}" for note in findings.notes]
    lines += ["upstreams:", f"  api: {{url: {_quoted(base)}}}", "", "routes:", f"  - path: {_quoted(path)}"]
    if query:
        lines.append("    # the query that was asked for comes from clients: each has a channel of its own")
    lines += ["    upstream: api", "    live:", *_section("poll", findings.poll), *_section("items", findings.items)]
    lines += ["  - path: /**", "    upstream: api"] if path != "/**" else []
    return "\n".join(lines) + "\n"


def _section(name: str, keys: list[tuple[str, str, str]]) -> Iterator[str]:
    if not keys and name != "poll":
        return
    yield f"      {name}:"
    for key, value, why in keys:
        yield f"        {key}: {value}  # {_plain(why)}"


def _plain(text: str) -> str:
    """What an API said, as part of a comment: nothing in it may end the line."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _quoted(value: Json) -> str:
    """A value in YAML that nothing expands."""
    return json.dumps(value).replace("${", "$${")


def _validators(looks: Sequence[Look]) -> Iterator[str]:
    first = looks[0].answer
    names = [name for name in ("etag", "last-modified") if header(first.headers, name.encode())]
    asked = [look for look in looks if look.conditional]
    kept = sum(look.answer.status == 304 for look in asked)
    if not names:
        yield "no ETag and no Last-Modified: every poll brings the whole answer"
    elif not kept:
        yield f"sends {' and '.join(names)}, but answered no conditional request with 304 ({len(asked)} asked)"
    else:
        yield f"validators work ({', '.join(names)}): {kept} of {len(asked)} conditional requests were answered 304"


def _pace(looks: Sequence[Look], bodies: Sequence[Look], findings: Findings) -> None:
    changes = sum(a.answer.body != b.answer.body for a, b in pairwise(bodies))
    seconds = looks[-1].at - looks[0].at
    control = (header(looks[0].answer.headers, b"cache-control") or b"").decode("latin-1")
    if changes and seconds:
        interval = max(1, min(30, round(seconds / changes / 2)))
        findings.poll.append(("interval", f"{interval}s", f"the answer changed {changes} times in {seconds:.0f} s"))
    else:
        findings.poll.append(("interval", "5s", f"the default: no change was seen in {seconds:.0f} s"))
    if "public" in control.replace(" ", "").split(","):
        findings.poll.append(
            ("credentials", "none", f"a public answer (Cache-Control: {control[:80]}): one poll for everyone")
        )


def _list(bodies: Sequence[Look], findings: Findings) -> None:
    found = _find_list(bodies[-1].document)
    if found is None:
        findings.notes.append("the answer is one document: changes go out as patches")
        return
    at, items = found
    if at:
        findings.items.append(("at", _quoted(at), f"a list of {len(items)} objects is there"))
    key = _key_of(items)
    if key is None:
        findings.notes.append(f"a list of {len(items)}, but no field tells its items apart: name one as items.key")
        findings.items.clear()
        return
    findings.items.append(("key", _quoted(key), f"in all {len(items)} items, and no two are the same"))
    findings.poll += _pages(bodies[-1])
    noisy = _noisy(bodies, at, key)
    if noisy:
        findings.items.append(("ignore", _quoted(list[Json](noisy)), "changed with every answer, in every item"))


def _pages(look: Look) -> Iterator[tuple[str, str, str]]:
    """How the list goes on, where that is plain to see."""
    answer, document = look.answer, look.document
    following = document.get("next") if isinstance(document, dict) else None
    if _leads_on(answer):
        yield "pages", "link", "a Link header leads to a next page"
    elif header(answer.headers, b"next-page"):
        yield "pages", "{header: Next-Page}", "that header leads to a next page"
    elif isinstance(following, str) and following.startswith(("http://", "https://", "/", "?")):
        yield "pages", "{field: next}", "that field leads to a next page"


def _leads_on(answer: Answer) -> bool:
    link = header(answer.headers, b"link") or b""
    return b'rel="next"' in link or b"rel=next" in link


def _find_list(document: Json, at: str = "", depth: int = 0) -> tuple[str, list[Json]] | None:
    """The longest list of objects, and where it is."""
    if isinstance(document, list):
        return (at, document) if document and all(isinstance(item, dict) for item in document) else None
    if not isinstance(document, dict) or depth >= 3:
        return None
    lists = [
        found
        for name, value in document.items()
        if (found := _find_list(value, f"{at}.{_step(name)}" if at else _step(name), depth + 1)) is not None
    ]
    return max(lists, key=lambda found: len(found[1]), default=None)


def _step(name: str) -> str:
    """A name in JMESPath."""
    return name if name.isidentifier() and name.isascii() else json.dumps(name)


def _key_of(items: list[Json]) -> str | None:
    rows = [item for item in items if isinstance(item, dict)]
    names = [name for name in rows[0] if "." not in name]
    ends = [name for name in names if name.lower().endswith(("id", "_key"))]
    for name in dict.fromkeys([*(key for key in _KEYS if key in names), *ends, *names]):
        values = [row.get(name) for row in rows]
        plain = all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in values)
        if plain and len(set(values)) == len(values):
            return name
    return None


def _noisy(bodies: Sequence[Look], at: str, key: str) -> list[str]:
    """Fields that were different in every item of every two answers: clocks and counters, nobody's news."""
    if len(bodies) < 3:
        return []
    noisy: set[str] | None = None
    for before, after in pairwise(bodies):
        old, new = _rows(before, key), _rows(after, key)
        pairs = [(old[one], new[one]) for one in old.keys() & new.keys()]
        changed = [{name for name in b if name in a and a[name] != b[name]} for a, b in pairs]
        here = set.intersection(*changed) if changed else set[str]()
        noisy = here if noisy is None else noisy & here
    return sorted(noisy or ())


def _rows(look: Look, key: str) -> dict[str, dict[str, Json]]:
    found = _find_list(look.document)
    rows = [item for item in (found[1] if found else []) if isinstance(item, dict) and key in item]
    return {str(row[key]): row for row in rows}


def _headers(answer: Answer) -> Iterator[str]:
    names = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    if _leads_on(answer):
        yield "a Link header leads to a next page: this answer is not the whole list"
    for name, value in names.items():
        if name.replace("-", "_") in _PAGES or name == "next-page":
            yield f"the header {name} speaks of pages"
        if name in _RATES:
            yield f"limits rates: {name}: {value[:60]}"
        if name == "x-poll-interval":
            yield f"asks to be polled every {value[:20]} s (X-Poll-Interval)"
    if "max-age" in names.get("cache-control", ""):
        control = names["cache-control"][:80]
        yield f"says how long answers hold (Cache-Control: {control}): a range of intervals heeds that"
    if "private" in names.get("cache-control", "") or "authorization" in names.get("vary", "").lower():
        yield "says that answers differ from user to user: credentials are forwarded, which is the default"
    for name in _page_fields(answer):
        yield f"the field {name!r} speaks of pages: this answer may not be the whole list"


def _page_fields(answer: Answer) -> list[str]:
    try:
        document = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return []
    return [name for name in document if name.lower() in _PAGES] if isinstance(document, dict) else []
