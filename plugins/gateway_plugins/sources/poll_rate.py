"""Where answers tell of a rate limit, and how much of it polls leave to others, as an operator writes it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, model_validator
from pydantic.json_schema import WithJsonSchema

from gateway.plugin import Duration, Options
from gateway_plugins.sources.poll_credentials import HeaderName
from gateway_plugins.sources.poll_hints import USUAL, Rates

_PERCENT = re.compile(r"([1-9][0-9]?)%", re.ASCII)


def _a_while(value: float) -> float:
    if value < 1:
        raise ValueError("must be at least 1s")
    return value


def _left(value: object) -> object:
    share = isinstance(value, str) and _PERCENT.fullmatch(value)
    number = type(value) is int and 1 <= value <= 1_000_000_000
    if not (share or number):
        raise ValueError(
            "expected what polls leave to others: 1% to 99% of the limit, or a number of requests, as in 100"
        )
    return value


Left = Annotated[
    int | str,
    BeforeValidator(_left),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[1-9]\d?%$"},
                {"type": "integer", "minimum": 1, "maximum": 1_000_000_000},
            ]
        }
    ),
]


class Rate(Options):
    """The headers of a rate limit, where they are not RateLimit-* or X-RateLimit-*, and when to stop before its end."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    remaining: HeaderName | None = None
    """the header with the requests that are left, as X-App-Calls-Left"""
    reset: HeaderName | None = None
    """with remaining: the one that says when there are more, in seconds from now or since 1970"""
    limit: HeaderName | None = None
    """with remaining: the one with the requests of the whole window"""
    early_limit: Left | None = None
    """with no more than this left, polls wait for the reset: 10% of the limit, say, or 100 requests"""
    max_wait: Annotated[Duration, AfterValidator(_a_while)] = 3600.0
    """the longest wait for a reset, or for what a 429 asks for: nobody's window is longer, and a header may be wrong"""

    @model_validator(mode="after")
    def _whole(self) -> Rate:
        if (self.remaining is None) != (self.reset is None):
            raise ValueError("remaining and reset go together: how much is left, and until when")
        if self.limit is not None and self.remaining is None:
            raise ValueError("limit needs remaining and reset: how much of it is left, and until when")
        names = [name for name in (self.remaining, self.reset, self.limit) if name is not None]
        if len(set(names)) < len(names):
            raise ValueError("remaining, reset and limit are different headers")
        if self.remaining is not None and self.limit is None and isinstance(self.early_limit, str):
            raise ValueError("early_limit in percent needs limit, the header with the whole; or say how many requests")
        return self

    @property
    def rates(self) -> Rates:
        left = self.early_limit
        share = int(left[:-1]) / 100 if isinstance(left, str) else 0.0
        kept = left if isinstance(left, int) else 0
        if self.remaining is None or self.reset is None:
            return USUAL._replace(share=share, kept=kept)
        return Rates(
            remaining=(self.remaining.encode(),),
            reset=(self.reset.encode(),),
            limit=(self.limit.encode(),) if self.limit is not None else (),
            combined=b"",
            share=share,
            kept=kept,
        )
