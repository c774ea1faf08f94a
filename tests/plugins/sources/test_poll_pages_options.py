from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_pages_options import Pages


def test_link_alone_is_by_link_headers() -> None:
    assert Pages.model_validate("link") == Pages.model_validate({}) == Pages()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"header": "Next", "page": "p"}, "header and page are two ways"),
        ({"cursor": "after"}, "cursor needs header or field"),
        ({"cursor": "after", "offset": "o"}, "cursor needs header or field"),
        ({"size": 10}, "size and at need page or offset"),
        ({"at": "data", "header": "Next"}, "size and at need page or offset"),
        ({"page": "p", "first": 2}, "less than or equal to 1"),
        ({"max": 0}, "greater than or equal to 1"),
        ({"full_every": "1ms", "stop_when_known": True}, "at least 100ms"),
        ("links", "valid dictionary"),
    ],
)
def test_mistakes(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pages.model_validate(value)
