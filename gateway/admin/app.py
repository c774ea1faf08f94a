"""The admin listener: metrics, health, an index of them, and the reload, as one Starlette application.

It reads what the rest of the process counts, and changes nothing but that it has the file read again. Never mount it
on a public listener: it tells route and upstream names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admin import health, metrics
from gateway.admin.configuration import mistakes, shown
from gateway.admin.exposition import exposition
from gateway.admin.seed import seed
from gateway.core.event import Json
from gateway.core.plan import Plan
from gateway.core.problem import NOTHING_MORE, problem
from gateway.core.settings import Gateway
from gateway.core.stats import Stats
from gateway.errors import ClientError, ConfigError

INDEX = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tidegate</title>
<h1>Tidegate</h1>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/livez">/livez</a>: this process works</li>
<li><a href="/readyz">/readyz</a>: it should be sent clients</li>
<li>POST /reload: have the configuration read again</li>
</ul>
</html>
"""

PAGE = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
NONE: Mapping[str, str] = {}
FRESH = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

Endpoint = Callable[[Request], Awaitable[Response]]


def admin_app(
    stats: Stats,
    state: health.HealthState,
    settings: Gateway,
    *,
    transports: Collection[str] = (),
    lost_lines: Callable[[], int] = lambda: 0,
    reload: Callable[[], Awaitable[Plan]] | None = None,
) -> Starlette:
    """The admin application.

    `transports` names what live routes offer, `lost_lines` counts what the access log could not write, `reload` takes
    on the configuration as the file has it now.
    """
    seed(stats, settings, transports)
    registry = metrics.registry(stats, lost_lines)

    async def show_metrics(request: Request) -> Response:
        accept = ",".join(request.headers.getlist("accept"))
        # In a thread: listing 50,000 open files and writing thousands of samples takes too long for the loop.
        body, kind = await asyncio.to_thread(exposition, registry, accept)
        return _response(request, body, kind, {"vary": "accept"})

    async def show_live(request: Request) -> Response:
        return _report(request, health.live())

    async def show_ready(request: Request) -> Response:
        return _report(request, health.ready(state))

    async def show_index(request: Request) -> Response:
        return _response(request, INDEX, "text/html; charset=utf-8", PAGE)

    async def do_reload(request: Request) -> Response:
        if request.headers.get("origin") is not None:
            return _problem(request, 403, "origin", "pages of browsers may not have the configuration read again")
        if reload is None:
            return _problem(request, 404, "no_file", "this gateway was not started with a file")
        try:
            plan = await reload()
        except ConfigError as error:
            return _problem(request, 422, "bad_configuration", str(error), more=mistakes(error))
        except ClientError as error:
            return _problem(request, error.status, error.code, error.detail)
        return _response(request, json.dumps(shown(plan, stats.config.hash)).encode(), "application/json")

    endpoints: dict[str, Endpoint] = {
        "/": show_index,
        "/metrics": show_metrics,
        "/livez": show_live,
        "/readyz": show_ready,
    }
    app = Starlette(
        routes=[
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()),
            Route("/reload", do_reload, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )
    app.router.redirect_slashes = False
    return app


def _report(request: Request, report: dict[str, Json]) -> Response:
    status = 200 if health.passes(report) else 503
    return _response(request, json.dumps(report).encode(), "application/json", status=status)


def _response(
    request: Request, body: bytes, kind: str, extra: Mapping[str, str] = NONE, *, status: int = 200
) -> Response:
    headers = {"content-type": kind, "content-length": str(len(body)), **FRESH, **extra}
    return Response(b"" if request.method == "HEAD" else body, status, headers)


async def _refuse(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, in the words of the rest of the gateway."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        detail = f"allowed here: {(error.headers or NONE).get('Allow', 'GET')}"
        return _problem(request, 405, "method_not_allowed", detail, error.headers)
    return _problem(request, error.status_code, "not_found", "the admin listener has no such page")


async def _fail(request: Request, _: Exception) -> Response:
    """A bug: Starlette raises it again after this answer, and the server logs it."""
    return _problem(request, 500, "internal", "internal error")


def _problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    extra: Mapping[str, str] | None = None,
    *,
    more: Mapping[str, Json] = NOTHING_MORE,
) -> Response:
    headers, body = problem(status, code, detail, more=more)
    response = Response(b"" if request.method == "HEAD" else body, status)
    response.raw_headers = [*headers, *((k.lower().encode(), v.encode()) for k, v in (extra or {}).items())]
    return response
