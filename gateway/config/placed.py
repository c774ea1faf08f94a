"""Whether the options of sources fit the routes that they stand on: each source's own model says.

Like every check it reads the tree, and passes over a route that it can't understand, whose mistakes are told anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from gateway.config.compile import items_of
from gateway.config.model import Items, Upstream
from gateway.config.plugins import Kind
from gateway.config.routes import routes
from gateway.config.tree import Finding, Tree, Value, listing, mapping
from gateway.core.route import parse_template
from gateway.plugin.options import Place


def misplaced(tree: Tree, sources: Kind) -> Iterator[Finding]:
    """What the sources of a configuration find wrong with their routes."""
    for path, route in routes(tree):
        live = mapping(route.get("live"))
        for name in live.keys() & sources.options.keys():
            try:
                options = sources.options[name].model_validate({} if live[name] is None else live[name])
                place = _place(tree, route, live)
            except (ValidationError, ValueError, LookupError):
                continue
            for key, message in options.misplaced(place):
                yield (*path, "live", name, *key.split(".")), message


def _place(tree: Tree, route: Mapping[str, Value], live: Mapping[str, Value]) -> Place:
    """Raises one of several errors for a route that is not right."""
    template = parse_template(str(route["path"]))
    given = route.get("auth")
    names = [given] if isinstance(given, str) else listing(given)
    keepers = [mapping(mapping(tree.value["auth"])[str(name)]) for name in names]
    upstream = mapping(mapping(tree.value["upstreams"])[str(route["upstream"])])
    return Place(
        path=template.text,
        params=template.names,
        fixed=template.literal,
        items=items_of(Items.model_validate(live["items"])) if "items" in live else None,
        auth=bool(names),
        told=frozenset(name.lower() for keeper in keepers for name in mapping(keeper.get("headers"))),
        own_host=upstream.get("host", Upstream.model_fields["host"].default) == "preserve",
    )
