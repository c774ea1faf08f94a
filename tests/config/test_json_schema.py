"""The JSON Schema: draft 7, equal to the file in config/, and right about the golden files and the examples."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.config import schema
from gateway.config.reader import read
from gateway.core.event import Json
from gateway.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
SCHEMA = schema()
GOLDEN = sorted((ROOT / "tests" / "golden" / "config").glob("*.yaml"))
EXAMPLES = sorted((ROOT / "config").rglob("*.yaml"))

# what editors know of draft 7, as far as the schema uses it; any other keyword fails the test
ANNOTATIONS = {"$schema", "title", "description", "default", "$defs"}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def valid(node: Json, value: Json) -> bool:
    assert isinstance(node, dict)
    reference = node.get("$ref")
    if isinstance(reference, str):
        assert set(node) <= {"$ref", *ANNOTATIONS}, "draft 7 ignores what stands beside $ref"
        return valid(definition(reference), value)
    assert set(node) <= set(RULES) | {"type"} | ANNOTATIONS, node.keys()
    kind = str(node.get("type", ""))
    right = kind == "" or (isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)))
    return right and all(rule(node, value) for name, rule in RULES.items() if name in node)


def definition(reference: str) -> Json:
    definitions = SCHEMA["$defs"]
    assert isinstance(definitions, dict)
    return definitions[reference.removeprefix("#/$defs/")]


def options(node: dict[str, Json], name: str) -> list[Json]:
    found = node[name]
    assert isinstance(found, list)
    return found


def properties(node: dict[str, Json], value: Json) -> bool:
    known, others = node.get("properties", {}), node.get("additionalProperties", True)
    assert isinstance(known, dict)
    return not isinstance(value, dict) or all(
        valid(known[key], part) if key in known else others is True or (others is not False and valid(others, part))
        for key, part in value.items()
    )


def number(value: Json) -> float:
    assert isinstance(value, (int, float))
    return value


RULES: dict[str, Callable[[dict[str, Json], Json], bool]] = {
    "properties": properties,
    "additionalProperties": properties,
    "required": lambda node, value: (
        not isinstance(value, dict) or all(key in value for key in options(node, "required"))
    ),
    "items": lambda node, value: not isinstance(value, list) or all(valid(node["items"], item) for item in value),
    "minItems": lambda node, value: not isinstance(value, list) or len(value) >= number(node["minItems"]),
    "anyOf": lambda node, value: any(valid(option, value) for option in options(node, "anyOf")),
    "oneOf": lambda node, value: sum(valid(option, value) for option in options(node, "oneOf")) == 1,
    "enum": lambda node, value: value in options(node, "enum"),
    "const": lambda node, value: value == node["const"],
    "pattern": lambda node, value: not isinstance(value, str) or re.search(str(node["pattern"]), value) is not None,
    "minimum": lambda node, value: not isinstance(value, (int, float)) or value >= number(node["minimum"]),
    "maximum": lambda node, value: not isinstance(value, (int, float)) or value <= number(node["maximum"]),
}


def parsed(text: str) -> Json:
    return read("f", text.encode())[0].value


def test_the_file_is_what_the_command_prints() -> None:
    assert json.loads((ROOT / "config" / "schema.json").read_text()) == SCHEMA, "tidegate schema > config/schema.json"


def test_no_definition_uses_what_editors_do_not_know() -> None:
    for node in [SCHEMA, *json.loads(json.dumps(SCHEMA["$defs"])).values()]:
        valid(node, {})


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_examples_are_valid(file: Path) -> None:
    assert valid(SCHEMA, parsed(file.read_text()))


def golden() -> list[tuple[str, Json, bool]]:
    """Each case's configuration, and whether the loader takes it."""
    cases: list[tuple[str, Json, bool]] = []
    for file in GOLDEN:
        first, *_, expected = re.split(r"^-{5,}.*\n", file.read_text(), flags=re.MULTILINE)
        try:
            cases.append((file.stem, parsed(first), "gateway.yaml:" not in expected))
        except ConfigError:
            continue
    return cases


@pytest.mark.parametrize(("value", "good"), [case[1:] for case in golden()], ids=[case[0] for case in golden()])
def test_what_the_loader_takes_is_valid(value: Json, good: bool) -> None:
    assert valid(SCHEMA, value) or not good


@pytest.mark.parametrize(
    "text",
    [
        "routs: []",
        "routes: [{path: /}]",
        "routes: []",
        "listen: x",
        "limits: {message: 64}",
        "limits: {connections: x}",
        "admin: on",
        "routes: [{path: /, upstream: a, live: {}}]",
        "routes: [{path: /, upstream: a, live: {poll: {interval: 2}}}]",
        "routes: [{path: /, upstream: a, live: {poll: {}, slow: fast}}]",
    ],
)
def test_editors_underline_mistakes(text: str) -> None:
    assert not valid(SCHEMA, parsed(text))


def test_references_to_the_environment_may_stand_anywhere() -> None:
    assert valid(SCHEMA, parsed("limits: {connections: '${A}', message: '${B}'}\naccess_log: '${C}'"))


def test_defaults_are_written_as_an_operator_writes_them() -> None:
    assert (
        yaml.safe_load((ROOT / "config" / "schema.json").read_text())["$defs"]["Timeouts"]["properties"]["connect"][
            "default"
        ]
        == "2s"
    )
