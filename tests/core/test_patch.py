from __future__ import annotations

import copy

import pytest

from gateway.core.event import Json
from gateway.core.patch import apply_patch

DOCUMENT: dict[str, Json] = {"a": [1, {"b": 2}], "~/": 3, "n": None}


APPLIED: list[tuple[Json, Json]] = [
    ({"op": "add", "path": "/c", "value": 4}, {**DOCUMENT, "c": 4}),
    ({"op": "add", "path": "/n", "value": 4}, {**DOCUMENT, "n": 4}),
    ({"op": "replace", "path": "/~0~1", "value": 4}, {**DOCUMENT, "~/": 4}),
    ({"op": "remove", "path": "/n"}, {"a": [1, {"b": 2}], "~/": 3}),
    ({"op": "add", "path": "/a/0", "value": 4}, {**DOCUMENT, "a": [4, 1, {"b": 2}]}),
    ({"op": "add", "path": "/a/2", "value": 4}, {**DOCUMENT, "a": [1, {"b": 2}, 4]}),
    ({"op": "add", "path": "/a/-", "value": 4}, {**DOCUMENT, "a": [1, {"b": 2}, 4]}),
    ({"op": "remove", "path": "/a/0"}, {**DOCUMENT, "a": [{"b": 2}]}),
    ({"op": "replace", "path": "/a/0", "value": None}, {**DOCUMENT, "a": [None, {"b": 2}]}),
    ({"op": "replace", "path": "/a/1/b", "value": 4}, {**DOCUMENT, "a": [1, {"b": 4}]}),
    ({"op": "replace", "path": "", "value": [1]}, [1]),
    ({"op": "add", "path": "", "value": None}, None),
]


@pytest.mark.parametrize(("operation", "after"), APPLIED)
def test_one_operation(operation: Json, after: Json) -> None:
    before = copy.deepcopy(DOCUMENT)
    assert apply_patch(DOCUMENT, [operation]) == after
    assert before == DOCUMENT, "the document that was given has changed"


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (7, "not an object"),
        ({"path": "/a"}, "op is none of add, remove, replace"),
        ({"op": "move", "path": "/a", "from": "/n"}, "op is none of add, remove, replace"),
        ({"op": ["add"], "path": "/a"}, "op is none of add, remove, replace"),
        ({"op": "remove"}, "path is missing"),
        ({"op": "remove", "path": 0}, "path is missing"),
        ({"op": "add", "path": "/a"}, "value is missing"),
        ({"op": "remove", "path": "a"}, "path does not begin with a slash"),
        ({"op": "remove", "path": "/~2"}, "path holds a tilde that escapes nothing"),
        ({"op": "remove", "path": ""}, "the whole document can't be removed"),
        ({"op": "remove", "path": "/x"}, "path does not exist"),
        ({"op": "replace", "path": "/x", "value": 1}, "path does not exist"),
        ({"op": "add", "path": "/x/y", "value": 1}, "path does not exist"),
        ({"op": "add", "path": "/n/y", "value": 1}, "neither object nor array"),
        ({"op": "add", "path": "/a/0/y", "value": 1}, "neither object nor array"),
        *(
            ({"op": "remove", "path": f"/a/{index}"}, "an index that the array does not have")
            for index in ("2", "-", "-1", "01", "x", "", "1e0", "٣", "9" * 5000)
        ),
        ({"op": "add", "path": "/a/3", "value": 1}, "an index that the array does not have"),
        ({"op": "add", "path": "/a/7/x", "value": 1}, "an index that the array does not have"),
    ],
)
def test_what_cannot_be_applied_is_named(operation: Json, reason: str) -> None:
    good: Json = {"op": "add", "path": "/c", "value": 4}
    with pytest.raises(ValueError, match=f"^operation 1: .*{reason}"):
        apply_patch(DOCUMENT, [good, operation])


def test_a_document_that_is_a_value() -> None:
    with pytest.raises(ValueError, match="operation 0: path goes through"):
        apply_patch(5, [{"op": "add", "path": "/a", "value": 1}])


def test_a_very_long_path() -> None:
    with pytest.raises(ValueError, match="operation 0: path does not exist"):
        apply_patch({}, [{"op": "add", "path": "/a" * 100_000, "value": 1}])
