"""What every section of the configuration file is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from gateway.config.values import at_least
from gateway.plugin.options import Duration, Options, Size

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Time = Annotated[Duration, at_least("1ms")]
Patience = Annotated[Duration, at_least("5s")]  # clients are looked at every 5 s
Memory = Annotated[Size, at_least("1KB")]


class Section(Options):
    """A mapping of the file; the text under each key is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)
