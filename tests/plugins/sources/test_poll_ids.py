from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import Json, Target
from gateway_plugins.sources.poll_batch_options import Batch
from gateway_plugins.sources.poll_ids import Found, asked, size, spot
from tests.plugins.sources.together import together

BATCH = Batch.model_validate({"param": "ids"})

HOSTILE = [
    "7,8",
    ",8",
    "8,",
    "%2c8",
    "7%2C8",
    "7%252C8",
    "7&ids=8",
    "7%26ids=8",
    "7%23",
    "7%0d%0aX:y",
    "7%20",
    "*",
    "%25",
    "1..9",
    "7;8",
    "[7]",
    "'7'",
    "%22",
    "7%00",
    "%ff",
    "x" * 129,
]


def target(path: str, params: dict[str, str]) -> Target:
    return Target(target=path.encode(), headers=[], upstream=None, params=params)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", HOSTILE)
async def test_an_id_that_may_say_more_than_one_is_asked_for_alone(one: str) -> None:
    async with together() as scene:
        (good,) = scene.follow_all(1)
        try:
            bad = scene.follow(one)
        except Exception as error:
            assert "NUL" in str(error)  # noqa: PT017
        else:
            await scene.begin()
            assert bad.refused == 404
            assert scene.backend.singles == [f"/api/orders/{one}"], "as the client wrote it"
        await scene.begin()
        assert scene.backend.batches == [["0"]]
        assert good.version == 1


@pytest.mark.parametrize("query", ["ids=8", "a=1&ids=8", "%69ds=8", "ids"])
async def test_a_client_that_asks_for_ids_itself_is_answered_alone(query: str) -> None:
    async with together() as scene:
        scene.backend.put("7", "8")
        one = scene.follow("7", query=query)
        await scene.begin()
        assert one.version == 1
        assert scene.backend.targets == [f"/api/orders/7?{query}"]


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20), st.booleans(), st.sampled_from(",;| "))
def test_a_backend_reads_the_ids_that_are_followed_and_no_others(
    texts: list[str], repeat: bool, separator: str
) -> None:
    how: dict[str, object] = {"repeat": True} if repeat else {"separator": separator}
    batch = Batch.model_validate({"param": "ids", **how})
    spots = [spot(batch, target("/o/" + quote(text, safe="", errors="replace"), {"id": text})) for text in texts]
    fit = [it for it in spots if it is not None]
    if not fit:
        return
    line = asked(batch, fit[0].base, [it.written for it in fit])
    path, _, query = line.decode("ascii").partition("?")
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, separator="&")
    assert path == "/o"
    assert {name for name, _ in pairs} == {"ids"}
    read = [value for _, value in pairs] if repeat else pairs[0][1].split(separator)
    assert read == [it.id for it in fit]
    assert len(line) <= len("/o?ids=") * 3 + sum(size(batch, it.written) for it in fit)


@pytest.mark.parametrize("one", ["7", "ORD-7", "a.b", "x_1", "größe", "8b6f0c9e-3f1d-4b7e-9a51-3c1f4d0c9e77", "a@b.c"])
def test_ids_as_they_are(one: str) -> None:
    found = spot(BATCH, target(f"/o/{quote(one)}", {"id": one}))
    assert found is not None
    assert (found.id, unquote(found.written.decode())) == (one, one)


def test_where_the_list_is() -> None:
    params = {"shop": "a b/c", "id": "7"}
    above = spot(Batch.model_validate({"param": "ids", "id": "id"}), target("/a%20b%2Fc/o/7?x=1", params))
    named = Batch.model_validate({"param": "filter[id]", "id": "id", "path": "/all/{shop}/o?limit=9"})
    there = spot(named, target("/a%20b%2Fc/o/7?x=1", params))
    assert above is not None
    assert there is not None
    assert asked(BATCH, above.base, [b"7"]) == b"/a%20b%2Fc/o?x=1&ids=7"
    assert asked(named, there.base, [b"7"]) == b"/all/a%20b%2Fc/o?limit=9&x=1&filter[id]=7"


def test_a_target_that_leaves_no_room() -> None:
    assert spot(BATCH, target("/o/7?" + "x" * 3000, {"id": "7"})) is None


def test_what_is_no_list() -> None:
    documents: list[Json] = [{}, None, "x", {"data": {}}]
    for document in documents:
        with pytest.raises(ValueError, match="no list"):
            Found(Batch.model_validate({"param": "ids", "at": "data"}), ["1"]).read([document])


def test_what_several_pages_hold() -> None:
    found = Found(BATCH, ["1", "2", "3"])
    pages: list[Json] = [[{"id": 1}, {"id": 2, "v": 1}, {"id": 9}]]
    assert not found.read(pages)
    pages.append([{"id": 2, "v": 2}, {"id": "3"}])
    assert not found.read(pages)
    assert found.resources == {"1": {"id": 1}, "3": {"id": "3"}}, "nobody knows which of two is meant"
    assert not found.read([*pages, [{"id": 2, "v": 3}]]), "nor of three"
    whole = Found(BATCH, ["1"])
    assert whole.read(pages[:1])
    assert whole.resources == {"1": {"id": 1}}
