"""The JSON Schema of the configuration file, for editors: draft 7, with the installed plugins' options in it."""

from __future__ import annotations

from typing import TypeAlias

from gateway.config import plugins
from gateway.core.event import Json

Node: TypeAlias = "dict[str, Json]"
_REFERENCE: Json = {"type": "string", "pattern": r"\$\{"}
_PLAIN = ("enum", "const", "required")
_TYPED = ("integer", "number", "boolean")


def schema() -> dict[str, Json]:
    """The schema; raises ValueError when two plugins share a name."""
    model = plugins.model()
    made: Node = model.config.model_json_schema()
    tidy = _tidy({key: value for key, value in made.items() if key not in ("title", "description", "required")})
    kinds = (
        ("Live", model.sources),
        ("Auth", model.authenticators),
        ("Broker", model.brokers),
        ("Verify", model.signatures),
    )
    for name, kind in kinds:
        _one_of(tidy, name, sorted(kind.options))
    _any_of(tidy, "Transport", sorted(model.transports.options))
    _section(tidy, "Route")["anyOf"] = [{"required": [one]} for one in ("upstream", "session", "webhook", "channel")]
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Tidegate configuration", **tidy}


def _one_of(root: Node, name: str, plugins: list[str]) -> None:
    """Exactly one plugin is named."""
    section = _any_of(root, name, plugins)
    if plugins:
        section["oneOf"] = [{"required": [plugin]} for plugin in plugins]


def _any_of(root: Node, name: str, plugins: list[str]) -> Node:
    """A plugin's name alone means its defaults."""
    section = _section(root, name)
    properties = section["properties"]
    assert isinstance(properties, dict)
    for plugin in plugins:
        properties[plugin] = {"anyOf": [properties[plugin], {"type": "null"}]}
    return section


def _section(root: Node, name: str) -> Node:
    definitions = root["$defs"]
    assert isinstance(definitions, dict)
    section = definitions[name]
    assert isinstance(section, dict)
    return section


def _tidy(node: Node) -> Node:
    """Without the titles that pydantic invents, without null, and with `${...}` wherever a value can come from."""
    result: Node = {}
    for key, value in node.items():
        if key in ("properties", "$defs", "patternProperties") and isinstance(value, dict):
            result[key] = {name: _any(part) for name, part in value.items()}
        elif key not in ("title", "discriminator") and not (key == "default" and value is None):
            result[key] = _filled(value) if key == "default" else value if key in _PLAIN else _any(value)
    return _open(_without_null(result))


def _filled(value: Json) -> Json:
    """A default without what is not set."""
    if isinstance(value, dict):
        return {key: _filled(part) for key, part in value.items() if part is not None}
    return [_filled(part) for part in value] if isinstance(value, list) else value


def _any(value: Json) -> Json:
    if isinstance(value, dict):
        return _tidy(value)
    return [_any(item) for item in value] if isinstance(value, list) else value


def _without_null(node: Node) -> Node:
    options = node.get("anyOf")
    if not isinstance(options, list) or {"type": "null"} not in options:
        return node
    rest = [option for option in options if option != {"type": "null"}]
    others = {key: value for key, value in node.items() if key != "anyOf"}
    if len(rest) == 1 and isinstance(rest[0], dict):
        return {**rest[0], **others}
    return {**others, "anyOf": rest}


def _open(node: Node) -> Node:
    """Let `${...}` stand where text alone would not do."""
    narrow = node.get("type") in _TYPED or (
        node.get("type") == "string" and ("pattern" in node or "enum" in node or "const" in node)
    )
    if not narrow or node == _REFERENCE:
        return node
    about: Node = {key: node[key] for key in ("description", "default") if key in node}
    return {**about, "anyOf": [{key: value for key, value in node.items() if key not in about}, _REFERENCE]}
