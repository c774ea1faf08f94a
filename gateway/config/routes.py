"""What routes are to each other: their names apart, and none hidden behind an earlier one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.config.tree import Finding, Path, Tree, Value, listing
from gateway.core.route import Template, parse_template

# The first segment of the paths that the gateway answers itself.
RESERVED = ".tidegate"


def routes(tree: Tree) -> Iterator[tuple[Path, Mapping[str, Value]]]:
    """Every route that is a mapping, with its path in the tree."""
    for index, route in enumerate(listing(tree.value.get("routes"))):
        if isinstance(route, dict):
            yield ("routes", index), route


def implied(methods: Sequence[str]) -> frozenset[str]:
    """The methods of a route: whatever answers GET answers HEAD (RFC 9110 section 9.1)."""
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else frozenset())


def route_names(parts: Sequence[tuple[str | None, str, Sequence[str], str | None]]) -> list[str]:
    """Of each (name, path, methods, host) the name, else the path, told apart where routes share it."""
    shared = Counter(path for _, path, _, _ in parts)
    names: list[str] = []
    for name, path, methods, host in parts:
        apart = f"{','.join(methods)} {host or ''}{path}".strip() if shared[path] > 1 else path
        names.append(name or apart)
    return names


def names_differ(tree: Tree) -> Iterator[Finding]:
    """A name labels one route; another route's path, which is its name by default, is taken as well."""
    reaches = list(_reaches(tree))
    names = route_names([(one.name, str(one.template), one.written, one.host) for one in reaches])
    first: dict[str, _Reach] = {}
    for named in (True, False):
        for name, one in zip(names, reaches, strict=True):
            if (one.name is not None) is not named:
                continue
            if name in first and (named or first[name].name is not None):
                yield _same_name(tree, name, first[name], one)
            first.setdefault(name, one)


def _same_name(tree: Tree, name: str, first: _Reach, second: _Reach) -> Finding:
    wrong, other = (second, first) if second.name is not None else (first, second)
    where = tree.mark((*other.path, "name" if other.name is not None else "path"))
    return (*wrong.path, "name"), f"another route is called {name!r} too, at {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """What one route is called and takes; no methods: all."""

    path: Path
    name: str | None
    template: Template
    written: tuple[str, ...]
    host: str | None

    def covers(self, other: _Reach) -> bool:
        mine, theirs = implied(self.written), implied(other.written)
        methods = not mine or (bool(theirs) and theirs <= mine)
        return methods and self.host in (None, other.host) and self.template.covers(other.template)


def _reaches(tree: Tree) -> Iterator[_Reach]:
    for path, route in routes(tree):
        text, host, name = route.get("path"), route.get("host"), route.get("name")
        try:
            template = parse_template(text if isinstance(text, str) else "")
        except ValueError:
            continue
        yield _Reach(
            path=path,
            name=name if isinstance(name, str) else None,
            template=template,
            written=tuple(method for method in listing(route.get("methods")) if isinstance(method, str)),
            host=host.lower() if isinstance(host, str) else None,
        )


def none_is_reserved(tree: Tree) -> Iterator[Finding]:
    """The gateway's own URLs begin with one word, so that they can be told from the API's."""
    for path, route in routes(tree):
        text = route.get("path")
        if isinstance(text, str) and text.split("/")[:2] == ["", RESERVED]:
            yield (*path, "path"), f"/{RESERVED}/ is the gateway's own, choose another path: it serves its client there"


def all_are_reached(tree: Tree) -> Iterator[Finding]:
    """A route after one that covers all of it never answers anything."""
    before: list[_Reach] = []
    for reach in _reaches(tree):
        first = next((earlier for earlier in before if earlier.covers(reach)), None)
        if first is not None:
            where = tree.mark((*first.path, "path"))
            yield (*reach.path, "path"), f"never reached: {first.template} at {where} answers all of it first"
        before.append(reach)
