"""What pages make of events is what the gateway made them from: fold.js under Node.js, against the Python side."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.client.script import bundle
from gateway.core.diff import diff
from gateway.core.equal import same
from gateway.core.event import Json
from gateway.core.keyed import compare, identify
from gateway.core.merge import apply_merge, merge_patch
from gateway.core.patch import apply_patch
from gateway.core.settings import Items

pytestmark = pytest.mark.node

Fold = Callable[..., Json]
# A module-scoped process under @given: it keeps nothing between examples.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([2.5]) | st.sampled_from("abc")
NAMES = st.sampled_from(["a", "b", "", "a/b", "~", "~1", "0", "-", "__proto__", "constructor", "length"])
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=25
)
LISTS = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 9) | st.sampled_from("ab"), "n": st.integers(0, 2)}),
    max_size=8,
    unique_by=lambda item: (type(item["id"]), item["id"]),
)


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fold]:
    """The state after events, as the client makes it; raises ValueError where it refuses."""
    node = shutil.which("node") or pytest.skip("needs Node.js")
    module = tmp_path_factory.mktemp("client") / "client.mjs"
    module.write_bytes(bundle())
    command = [node, str(Path(__file__).with_name("fold.mjs")), str(module)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(state: Json, *events: dict[str, Json], key: Json = "id") -> Json:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"state": state, "events": events, "key": key}) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            if "error" in answer:
                raise ValueError(answer["error"])
            state_after: Json = answer["state"]
            return state_after

        yield ask
        process.stdin.close()


@given(old=DOCUMENTS, new=DOCUMENTS)
@example(old={"__proto__": {"polluted": 1}}, new={"__proto__": {"polluted": 2}})
@example(old=[1, 3], new=[1, 2, 3])
@example(old=[{"a": 1}, {"a": 2}, {"a": 3}], new=[{"a": 1}, {"a": 3}])
@example(old={}, new={"__proto__": {"polluted": 1}})
@SHARED
def test_patches(fold: Fold, old: Json, new: Json) -> None:
    patch = diff(old, new)
    assert same(fold(old, {"type": "patch", "data": patch}), new)
    assert same(apply_patch(old, patch), new)


@given(old=DOCUMENTS, new=DOCUMENTS)
@SHARED
def test_merge_patches_of_the_gateways(fold: Fold, old: Json, new: Json) -> None:
    patch = merge_patch(diff(old, new), new)
    if patch is not None:
        assert same(fold(old, {"type": "merge", "data": patch}), new)


@given(old=DOCUMENTS, patch=DOCUMENTS)
@SHARED
def test_merge_patches_of_any_kind(fold: Fold, old: Json, patch: Json) -> None:
    assert same(fold(old, {"type": "merge", "data": patch}), apply_merge(old, patch))


@given(old=LISTS, new=LISTS, order=st.sampled_from([None, True, False]))
@SHARED
def test_item_events(fold: Fold, old: list[Json], new: list[Json], order: bool | None) -> None:
    items = Items(order=order)
    comparison = compare(identify(old, items.key), identify(new, items.key), items)
    if comparison is None or comparison.anonymous:
        return
    state = fold(old, *({"type": change.type, "data": change.data} for change in comparison.changes))
    wanted = list(comparison.merged.values())
    if order:
        assert same(state, wanted)
    else:
        assert isinstance(state, list)
        assert sorted(map(json.dumps, state)) == sorted(map(json.dumps, wanted))


@pytest.mark.parametrize(
    ("key", "before", "event", "after"),
    [
        (
            "meta.id",
            [{"meta": {"id": 1}}],
            {"key": 1, "item": {"meta": {"id": 1}, "n": 2}},
            [{"meta": {"id": 1}, "n": 2}],
        ),
        (["id"], [{"id": 1}], {"key": 1, "item": {"id": 1, "n": 2}}, [{"id": 1, "n": 2}]),
        (["a", "b"], [{"a": 1, "b": 2}], {"key": [1, 2], "item": {"a": 1, "b": 2, "n": 3}}, [{"a": 1, "b": 2, "n": 3}]),
        ("id", [{"id": 1}], {"key": "1", "item": {"id": "1"}}, [{"id": 1}, {"id": "1"}]),
        ("id", [7, None, {"id": 1}], {"key": 1, "item": {"id": 1, "n": 1}}, [7, None, {"id": 1, "n": 1}]),
        ("id", None, {"key": 1, "item": {"id": 1}}, [{"id": 1}]),
        ("id", [{"id": 1, "n": 1}, {"id": 1, "n": 2}], {"key": 1, "item": {"id": 1}}, [{"id": 1, "n": 1}, {"id": 1}]),
    ],
)
def test_keys(fold: Fold, key: Json, before: Json, event: dict[str, Json], after: Json) -> None:
    assert fold(before, {"type": "updated", "data": event}, key=key) == after


@pytest.mark.parametrize("kind", ["status", "notify", "close", "gap", "something new"])
def test_what_says_nothing_of_the_state_leaves_it_alone(fold: Fold, kind: str) -> None:
    assert fold([1], {"type": kind, "data": None}) == [1]


def test_a_snapshot_replaces_all(fold: Fold) -> None:
    assert fold([1], {"type": "snapshot", "data": {"a": 1}}) == {"a": 1}


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ({}, {"type": "patch", "data": [{"op": "remove", "path": "/a"}]}),
        ({}, {"type": "patch", "data": [{"op": "replace", "path": "/a", "value": 1}]}),
        ({}, {"type": "patch", "data": [{"op": "add", "path": "/a/b", "value": 1}]}),
        ({}, {"type": "patch", "data": [{"op": "add", "path": "/__proto__/polluted", "value": 1}]}),
        ([], {"type": "patch", "data": [{"op": "add", "path": "/1", "value": 1}]}),
        ([1], {"type": "patch", "data": [{"op": "remove", "path": "/1"}]}),
        ([1], {"type": "patch", "data": [{"op": "replace", "path": "/-", "value": 1}]}),
        ([1], {"type": "patch", "data": [{"op": "remove", "path": "/length"}]}),
        ([1], {"type": "patch", "data": [{"op": "add", "path": "/0/a", "value": 1}]}),
        (None, {"type": "patch", "data": [{"op": "add", "path": "/a", "value": 1}]}),
        ([], {"type": "moved", "data": {"key": 1, "after": None}}),
        ([{"id": 1}], {"type": "created", "data": {"key": 2, "item": {"id": 2}, "after": 3}}),
    ],
)
def test_what_does_not_fit_is_refused(fold: Fold, state: Json, event: dict[str, Json]) -> None:
    with pytest.raises(ValueError, match=r"here|exist|nowhere"):
        fold(state, event)
