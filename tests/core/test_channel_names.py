from __future__ import annotations

import pytest

from gateway.core.channel_names import allows
from gateway.core.route import parse_template


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("/api/shirts", True),
        ("/api/shirts?size=M", True),
        ("/api", True),
        ("/apis", False),
        ("/%61pi/shirts", True),
        ("/api/../private", False),
        ("/api/%2e%2e/private", False),
        ("/orders/7/lines", True),
        ("/orders//lines", False),
        ("", False),
        ("api", False),
        ("/api/\ud800", False),
    ],
)
def test_names(name: str, allowed: bool) -> None:
    assert allows((parse_template("/api/**"), parse_template("/orders/{id}/lines")))(name) is allowed


def test_without_patterns_nothing_is_open() -> None:
    assert not allows(())("/api")
