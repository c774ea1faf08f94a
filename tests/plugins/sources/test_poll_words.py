from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_words import expression


def test_expressions() -> None:
    assert expression("data[?gone].id") == "data[?gone].id"
    with pytest.raises(ValueError, match="expected a JMESPath expression"):
        expression("a.")
