"""Write-through: a client's own write is on its streams at once, not when the next poll is due.

Told of every write that a backend has done, before its answer goes on to the client; asks for a look at each followed
channel of the resources that it may have changed, whoever follows them. Looks that are under way were begun before the
write, so another follows them; many writes while one look is under way lead to one more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.core.asgi import Scope
from gateway.core.http import header
from gateway.core.route import Match, RouteTable, decode_path
from gateway.core.settings import Route
from gateway.core.stats import Stats
from gateway.core.writes import touched
from gateway.errors import ClientError


class Writes:
    """`refresh` looks at the channels of a route's name and an encoded path, and says how many there are.

    It is told whether the write was a deletion. `announce` does the same for what a webhook tells; `hosts` are those
    that live routes are bound to.
    """

    def __init__(
        self,
        table: RouteTable[Route],
        refresh: Callable[[str, bytes, bool], int],
        stats: Stats,
        *,
        announce: Callable[[str, bytes], int] | None = None,
        hosts: Iterable[str | None] = (),
    ) -> None:
        self._table = table
        self._announce = announce or (lambda route, path: refresh(route, path, True))
        self._hosts = tuple(host.encode() if host is not None else None for host in dict.fromkeys((None, *hosts)))
        self._refresh = refresh
        self._stats = stats

    def done(self, scope: Scope, route: Route) -> None:
        """The backend has done the write of this request, which `route` answers."""
        path: bytes = scope["raw_path"]
        host = header(scope["headers"], b"host")
        params = route.path.fit(decode_path(path)) or {}
        for resource in dict.fromkeys(touched(route.refresh_on_write, path, params)):
            live = self._live_at(resource, host)
            if live is not None:
                followed = self._refresh(live.name, resource, scope["method"] == "DELETE")
                self._stats.routes[live.name].refreshes["asked" if followed else "unfollowed"] += 1

    def announced(self, path: bytes) -> int | None:
        """A webhook says that the resource has changed, under whatever host clients follow it: how many channels do.

        It may be gone as well. None where no live route is.
        """
        found = {live.name for host in self._hosts if (live := self._live_at(path, host)) is not None}
        followed = 0
        for name in found:
            here = self._announce(name, path)
            self._stats.routes[name].refreshes["asked" if here else "unfollowed"] += 1
            followed += here
        return followed if found else None

    def _live_at(self, path: bytes, host: bytes | None) -> Route | None:
        try:
            match = self._table.match("GET", path, host)
        except ClientError:  # a parameter that makes dot segments
            return None
        return match.route if isinstance(match, Match) and match.route.live is not None else None
