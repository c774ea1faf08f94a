"""What a route's writes refresh: every path named there has to be one that a live route answers."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.routes import routes
from gateway.config.tree import Finding, Tree, listing
from gateway.core.route import Template, parse_template


def refreshes_reach_live_routes(tree: Tree) -> Iterator[Finding]:
    """Each path's parameters are the route's own, and some live route fits it."""
    found = [(path, route, _template(route.get("path"))) for path, route in routes(tree)]
    live = [template for _, route, template in found if template is not None and "live" in route]
    for path, route, template in found:
        for index, rule in enumerate(listing(route.get("refresh_on_write"))):
            wanted = _template(rule)
            if wanted is None or wanted.rest or "*" in wanted.text or template is None:
                continue
            place = (*path, "refresh_on_write", index)
            strange = [name for name in wanted.names if name not in template.names]
            if strange:
                yield place, f"the route's path has no parameter {{{strange[0]}}}"
            elif not any(meets(wanted, other) for other in live):
                yield place, "no live route answers this path: nobody could follow what is refreshed there"


def _template(text: object) -> Template | None:
    try:
        return parse_template(text) if isinstance(text, str) else None
    except ValueError:
        return None


def meets(wanted: Template, live: Template) -> bool:
    """Whether some path fits both."""
    mine, theirs = wanted.segments, live.segments
    if len(mine) < len(theirs) or (len(mine) > len(theirs) and not live.rest):
        return False
    return all(None in (a, b) or a == b for a, b in zip(mine, theirs, strict=False))
