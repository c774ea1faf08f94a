from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.plugin import Answer, Json
from gateway_plugins.sources.poll_pages import Elsewhere, next_page
from gateway_plugins.sources.poll_pages_options import Pages
from tests.plugins.sources.scripted import NOT_MODIFIED, answer, ok, run

TARGET = b"/api/list?open=1"


def following(pages: object, document: Json = None, number: int = 1, **headers: str) -> bytes | None:
    return next_page(Pages.model_validate(pages), TARGET, answer(200, b"", **headers), document, number)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ('</api/list?page=2>; rel="next"', b"/api/list?page=2"),
        ('<https://api.example/v1/api/list?page=2&open=1>; rel=next, <x>; rel="last"', b"/api/list?page=2&open=1"),
        ('<?a=1>; rel="prev", <?a=3>; title="x, y"; rel="next last"', b"/api/list?a=3"),
        ('<?a=3>; rel="nextish"', None),
        ('<?open=1>; rel="next"', None),
        ("", None),
    ],
)
def test_link_headers(link: str, target: bytes | None) -> None:
    assert following("link", Link=link) == target


@pytest.mark.parametrize("url", ["/api/users?page=2", "http://internal/latest/meta-data?x", "//evil/?x=1", "http://[x"])
def test_another_path_is_not_followed(url: str) -> None:
    with pytest.raises(Elsewhere):
        following({"header": "Next-Page"}, Next_Page=url)


def test_a_url_in_a_header_of_its_own() -> None:
    url = "http://localhost:8888/v1/api/list?_limit=2&_token=a%2Fb"
    assert following({"header": "Next-Page"}, Next_Page=url) == b"/api/list?_limit=2&_token=a%2Fb"


@pytest.mark.parametrize(
    ("document", "target"),
    [
        ({"meta": {"next": "/api/list?p=2"}}, b"/api/list?p=2"),
        ({"meta": {"next": None}}, None),
        ({"meta": {"next": ""}}, None),
        ({"meta": {"next": True}}, None),
        ([1], None),
    ],
)
def test_a_url_in_the_answer(document: Json, target: bytes | None) -> None:
    assert following({"field": "meta.next"}, document) == target


def test_cursors_and_keysets_are_values_of_a_parameter() -> None:
    assert following({"field": "next", "cursor": "after"}, {"next": "a&b=c"}) == b"/api/list?open=1&after=a%26b%3Dc"
    keyset = {"field": "[-1].id", "cursor": "open"}
    assert following(keyset, [{"id": 1}, {"id": 7}]) == b"/api/list?open=7"
    assert following(keyset, []) is None
    assert following({"header": "X-Next", "cursor": "c"}, X_Next="q") == b"/api/list?open=1&c=q"


@pytest.mark.parametrize(
    ("pages", "document", "number", "target"),
    [
        ({"page": "page"}, [1], 1, b"/api/list?open=1&page=2"),
        ({"page": "page", "first": 0}, [1], 2, b"/api/list?open=1&page=2"),
        ({"page": "page"}, [], 2, None),
        ({"page": "page", "size": 2}, [1], 1, None),
        ({"page": "page", "at": "data"}, {"data": [1]}, 1, b"/api/list?open=1&page=2"),
        ({"page": "page", "at": "data"}, [1], 1, None),
        ({"offset": "skip", "size": 2}, [1, 2], 3, b"/api/list?open=1&skip=6"),
        ({"offset": "skip", "size": 2}, [1], 1, None),
    ],
)
def test_numbers(pages: object, document: Json, number: int, target: bytes | None) -> None:
    assert following(pages, document, number) == target


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ({"header": "a", "page": "p"}, "two ways"),
        ({"cursor": "c"}, "cursor needs"),
        ({"page": "p", "cursor": "c"}, "cursor needs"),
        ({"size": 2}, "need page or offset"),
        ({"field": "a..b"}, "JMESPath"),
        ({"page": "a b"}, "pattern"),
        ({"max": 0}, "greater"),
        ("links", "valid dictionary"),
    ],
)
def test_options_that_make_no_sense(pages: object, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Pages.model_validate(pages)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_is_named_the_path_stays(link: bytes, url: bytes) -> None:
    this = Answer(status=200, headers=((b"link", link), (b"n", url)), body=b"")
    for pages in (Pages(), Pages(header="n")):
        with contextlib.suppress(Elsewhere):
            found = next_page(pages, TARGET, this, None, 1)
            assert found is None or found.startswith(b"/api/list?")


async def test_pages_are_read_and_published_as_one() -> None:
    this = run(ok(b"[1]", Link='<?p=2>; rel="next"'), ok(b"[2]", Link='<?p=3>; rel="next"'), ok(b"[3]"), pages="link")
    await this.watch().look()
    assert [target for _, target, _ in this.backend.asked] == [b"/api?a=1", b"/api?p=2", b"/api?p=3"]
    assert this.channel.published == [([1], [[2], [3]], True)]
    assert this.channel.results == ["changed"]


async def test_the_same_pages_again_are_no_change() -> None:
    pages = [ok(b"[1]", Link='<?p=2>; rel="next"'), ok(b"[2]")]
    this = run(*pages, *pages, pages="link")
    await this.polls(2)
    assert len(this.channel.published) == 1
    assert this.channel.results == ["changed", "unchanged"]


async def test_what_lies_beyond_the_last_page_is_unknown() -> None:
    this = run(*[ok(b"[1]", Link=f'<?p={page}>; rel="next"') for page in range(9)], pages={"max": 2})
    await this.watch().look()
    assert this.channel.published == [([1], [[1]], False)]
    assert this.channel.incidents == ["pages_cut_off"]


async def test_pages_that_lead_in_a_circle_end() -> None:
    this = run(ok(b"[1]", Link='<?p=2>; rel="next"'), pages="link")
    await this.watch().look()
    assert this.channel.published == [([1], [[1]], False)]


async def test_pages_together_are_bounded() -> None:
    big = b'["' + b"x" * 3_000_000 + b'"]'
    this = run(*[ok(big, Link=f'<?p={page}>; rel="next"') for page in range(9)], pages="link")
    await this.watch().look()
    assert len(this.backend.asked) == 2
    assert this.channel.incidents == ["pages_cut_off"]


async def test_a_page_at_another_path_is_not_asked_for() -> None:
    this = run(ok(b"[1]", Link='<http://10.0.0.1/admin>; rel="next"'), pages="link")
    await this.watch().look()
    assert len(this.backend.asked) == 1
    assert this.channel.published == [([1], [], False)]
    assert this.channel.incidents == ["page_elsewhere"]


async def test_a_page_that_fails_fails_the_poll() -> None:
    this = run(ok(b"[1]", Link='<?p=2>; rel="next"'), answer(404), pages="link")
    await this.watch().look()
    assert this.channel.published == []
    assert this.channel.told[0].reason == "the backend answered 404 for a page of the list"


async def test_the_first_pages_validator_is_not_that_of_the_list_unless_the_operator_says_so() -> None:
    pages = [ok(b"[1]", etag='"1"', Link='<?p=2>; rel="next"'), ok(b"[2]")]
    this = run(*pages, *pages, pages="link")
    await this.polls(2)
    assert this.backend.conditions() == [None] * 4
    this = run(*pages, NOT_MODIFIED, pages={"etag_of_all": True})
    await this.polls(2)
    assert this.backend.conditions() == [None, None, b'"1"']
    assert this.channel.results == ["changed", "not_modified"]


async def test_a_part_of_the_content_says_nothing_of_the_rest() -> None:
    this = run(answer(206, b"[1]", content_type="application/json"))
    await this.watch().look()
    assert this.channel.published == [([1], [], False)]
