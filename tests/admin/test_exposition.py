from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.registry import CollectorRegistry

from gateway.admin.exposition import exposition, prefers_openmetrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; Q=0.5, text/html", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.3", False),
        ("application/openmetrics-text;q=0.2, */*", False),
        ("application/openmetrics-textual", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_accept_header_decides(accept: str, preferred: bool) -> None:
    assert prefers_openmetrics(accept) is preferred


@given(st.text("aqop/;=,*.01 \x00é"))
def test_any_accept_header_gets_an_answer(accept: str) -> None:
    body, kind = exposition(CollectorRegistry(), accept)
    assert body in (b"", b"# EOF\n")
    assert kind.startswith("text/plain") == (body == b"")


def test_a_long_header_costs_little() -> None:
    assert not prefers_openmetrics("text/plain;q=0.1," * 100_000 + "application/openmetrics-text")
