"""Words that several options of the poll source are made of."""

from __future__ import annotations

from typing import Annotated

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field

from gateway.plugin import Duration


def expression(value: str) -> str:
    try:
        jmespath.compile(value)
    except JMESPathError:
        raise ValueError("expected a JMESPath expression, as in meta.next") from None
    return value


Expression = Annotated[str, AfterValidator(expression)]


def _at_least_100ms(value: float) -> float:
    if value < 0.1:
        raise ValueError("must be at least 100ms")
    return value


Time = Annotated[Duration, AfterValidator(_at_least_100ms)]

Parameter = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~\[\]$:-]{1,100}$")]
