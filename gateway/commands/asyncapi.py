"""`tidegate asyncapi`: the live routes as an AsyncAPI 3 document.

https://www.asyncapi.com/docs/reference/specification/v3.0.0 is the specification.
A live route is a channel, each of its modes an operation that sends; a session route is one that receives as well, and
so is a channel of messages where clients may publish.
What backends' documents look like is not known here: data of the resource may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from gateway.commands.asyncapi_messages import BY_MODE, EVERY, FROM_CLIENT, FROM_SERVER, OF_MESSAGES, POSTED, messages
from gateway.core.event import Json
from gateway.core.route import Template
from gateway.core.settings import ChannelSettings, Gateway, Listen, Mode, Route
from gateway.plugin import Described

Object = dict[str, Json]

WS_BINDING, HTTP_BINDING = "0.1.0", "0.3.0"  # versions of the bindings' own specifications
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_CREDENTIALS_ARE = "Clients show the credentials that the backend asks for, in the request that opens the stream."


def document(settings: Gateway, title: str, servers: Sequence[str]) -> Object:
    """The whole document; `servers` are the URLs by which clients know the gateway, else it is where it listens."""
    routes = [route for route in settings.routes if route.live or route.session or route.channel]
    names = _names(routes)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": settings.hash[:12] or "0",
            "description": "Made by `tidegate asyncapi` from the gateway's configuration, whose hash is the version.",
        },
        "defaultContentType": "application/json",
        "servers": _servers(servers or list(_listeners(settings.listen))),
        "channels": {name: _channel(route) for name, route in zip(names, routes, strict=True)},
        "operations": {
            key: operation
            for name, route in zip(names, routes, strict=True)
            for key, operation in _operations(name, route, settings)
        },
        "components": {"messages": messages(), "securitySchemes": _schemes(settings)},
    }


def _names(routes: Iterable[Route]) -> list[str]:
    """A name for each route that a document may use as a key."""
    names: list[str] = []
    for route in routes:
        plain = _UNSAFE.sub("-", route.name).strip("-") or "root"
        count = sum(name == plain or name.startswith(f"{plain}.") for name in names)
        names.append(f"{plain}.{count + 1}" if count else plain)
    return names


def _listeners(listens: Iterable[Listen]) -> Iterable[str]:
    for listen in listens:
        if not listen.address.startswith("unix:"):
            host = listen.address.replace("0.0.0.0:", "localhost:").replace("[::]:", "localhost:")
            yield f"{'https' if listen.tls else 'http'}://{host}"


def _servers(urls: Sequence[str]) -> Object:
    servers: Object = {}
    for number, url in enumerate(urls):
        parts = urlsplit(url)
        path = {"pathname": parts.path} if parts.path.strip("/") else {}
        for protocol in (parts.scheme, parts.scheme.replace("http", "ws")):
            name = f"{protocol}-{number + 1}" if number else protocol
            servers[name] = {"host": parts.netloc, "protocol": protocol, **path}
    return servers


def _channel(route: Route) -> Object:
    address, parameters = _address(route.path)
    kinds: tuple[str, ...] = (*FROM_CLIENT, *FROM_SERVER)
    described = "One WebSocket that follows many channels and carries REST requests."
    query: Object = {}
    if route.live is not None:
        kinds = tuple(dict.fromkeys((*(kind for mode in route.live.modes for kind in BY_MODE[mode]), *EVERY)))
        described = "The same URL answers REST, WebSockets, Server-Sent Events, NDJSON and long polls."
        query = _query(route.live.modes)
    elif route.channel is not None:
        kinds = (*OF_MESSAGES, *(POSTED if route.channel.publish else ()))
        described = "Messages, by WebSockets, Server-Sent Events, NDJSON and long polls of the same URL."
        query = _query(())
    channel: Object = {
        "address": address,
        "title": route.name,
        "description": f"{described} Only at the host {route.host}." if route.host else described,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
        "bindings": {"ws": {"method": "GET", "bindingVersion": WS_BINDING, **({"query": query} if query else {})}},
    }
    return {**channel, "parameters": parameters} if parameters else channel


def _address(template: Template) -> tuple[str, Object]:
    """The path with its parameters by name, those that have none in the configuration included."""
    parameters: Object = {name: {"description": "one segment of the path"} for name in template.names}
    parts = template.text.removesuffix("/**").split("/")
    for number, part in enumerate(parts):
        if part == "*":
            parts[number] = f"{{segment{number}}}"
            parameters[f"segment{number}"] = {"description": "one segment of the path"}
    if template.rest:
        parts.append("{rest}")
        parameters["rest"] = {"description": "any rest of the path, also none or with more slashes"}
    return "/".join(parts) or "/", parameters


def _query(modes: Sequence[Mode]) -> Object:
    """The gateway's own parameters, as a schema; without `modes` there is none to choose."""
    mode: Object = {"live.mode": {"type": "string", "enum": list(modes), "default": modes[0]}} if modes else {}
    return {
        "type": "object",
        "properties": {
            "live.since": {"type": "string", "description": "continue after the event with this id"},
            **mode,
            "live.wait": {"type": "integer", "minimum": 0, "description": "long poll: seconds to wait"},
            "live.interval": {"type": "string", "description": "streams: hear of changes at most so often, as 10s"},
        },
    }


def _operations(name: str, route: Route, settings: Gateway) -> Iterable[tuple[str, Object]]:
    security: list[Json] = [
        {"$ref": f"#/components/securitySchemes/{key}"} for auth in route.auth for key, _ in _described(auth, settings)
    ]
    common: Object = {"channel": {"$ref": f"#/channels/{name}"}, **({"security": security} if security else {})}
    note = f" Lets in whom one of these knows: {', '.join(route.auth)}." if route.auth else f" {_CREDENTIALS_ARE}"
    if route.channel is not None:
        yield from _messages(name, route.channel, common, note)
        return
    if route.live is None:
        heard, told = _of(name, FROM_CLIENT), _of(name, FROM_SERVER)
        yield f"{name}.ask", {"action": "receive", **common, **heard, "summary": f"Messages of clients.{note}"}
        yield f"{name}.tell", {"action": "send", **common, **told, "summary": "Answers and events."}
        return
    for mode in route.live.modes:
        default = ", the default" if mode == route.live.modes[0] else ""
        bindings: Object = {"http": {"method": "GET", "query": _query([mode]), "bindingVersion": HTTP_BINDING}}
        yield (
            f"{name}.{mode}",
            {
                "action": "send",
                **common,
                **_of(name, (*BY_MODE[mode], *EVERY)),
                "summary": f"Events with live.mode={mode}{default}.{note}",
                "bindings": bindings,
            },
        )


def _messages(name: str, channel: ChannelSettings, common: Object, note: str) -> Iterable[tuple[str, Object]]:
    read: Object = {"http": {"method": "GET", "query": _query(()), "bindingVersion": HTTP_BINDING}}
    sends: Object = {"action": "send", **common, **_of(name, OF_MESSAGES)}
    yield f"{name}.messages", {**sends, "summary": f"Messages as they are published.{note}", "bindings": read}
    if channel.publish:
        written: Object = {"http": {"method": "POST", "bindingVersion": HTTP_BINDING}}
        receives: Object = {"action": "receive", **common, **_of(name, POSTED)}
        yield f"{name}.publish", {**receives, "summary": f"Messages of clients.{note}", "bindings": written}


def _of(name: str, kinds: Iterable[str]) -> Object:
    return {"messages": [{"$ref": f"#/channels/{name}/messages/{kind}"} for kind in dict.fromkeys(kinds)]}


def _schemes(settings: Gateway) -> Object:
    return {key: dict(scheme) for auth in settings.auth for key, scheme in _described(auth, settings)}


def _described(auth: str, settings: Gateway) -> Iterable[tuple[str, Mapping[str, Json]]]:
    """How clients show the credentials of an authenticator, where its plugin says so."""
    options = settings.auth[auth].plugin.options
    schemes = options.schemes() if isinstance(options, Described) else ()
    plain = _UNSAFE.sub("-", auth)
    for number, scheme in enumerate(schemes):
        yield f"{plain}.{number + 1}" if number else plain, scheme
