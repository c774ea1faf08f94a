from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_hints import USUAL, Rates
from gateway_plugins.sources.poll_rate import Rate

NAMES = {"remaining": "X-Left", "reset": "X-Reset"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"remaining": "X-Left"}, "remaining and reset go together"),
        ({"reset": "X-Reset"}, "remaining and reset go together"),
        ({"limit": "X-Max"}, "limit needs remaining and reset"),
        ({**NAMES, "limit": "x-left"}, "different headers"),
        ({**NAMES, "early_limit": "10%"}, "early_limit in percent needs limit"),
        ({"remaining": "X Left", "reset": "X-Reset"}, "expected the name of a header"),
        *(({"early_limit": left}, "1% to 99%") for left in ("0%", "100%", "10", "½%", 0.9, 0, -1, True, 10**10)),
    ],
)
def test_mistakes(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rate.model_validate(value)


@pytest.mark.parametrize(
    ("value", "rates"),
    [
        ({}, USUAL),
        ({"early_limit": "10%"}, USUAL._replace(share=0.1)),
        ({"early_limit": 100}, USUAL._replace(kept=100)),
        (
            {**NAMES, "early_limit": 1},
            Rates(remaining=(b"x-left",), reset=(b"x-reset",), limit=(), combined=b"", kept=1),
        ),
        (
            {**NAMES, "limit": "X-Max", "early_limit": "99%"},
            Rates(remaining=(b"x-left",), reset=(b"x-reset",), limit=(b"x-max",), combined=b"", share=0.99),
        ),
    ],
)
def test_what_polls_look_for(value: object, rates: Rates) -> None:
    assert Rate.model_validate(value).rates == rates
