"""Which of Prometheus' two text formats a scraper wants, and the bytes of it.

OpenMetrics 1.0 when the Accept header prefers it, the classic text format 0.0.4 otherwise: every scraper
reads that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as classic
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import CollectorRegistry

_openmetrics: Callable[[CollectorRegistry], bytes] = openmetrics  # has no types of its own

_QUALITY = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)
_OPENMETRICS = "application/openmetrics-text"
_CLASSIC = ("text/plain", "text/*", "*/*")
_LONGEST = 4096  # Prometheus sends about 300 characters


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """What the registry's collectors show, and its content type."""
    if prefers_openmetrics(accept):
        return _openmetrics(registry), CONTENT_TYPE_OPENMETRICS
    return classic(registry), CONTENT_TYPE_PLAIN_0_0_4


def prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header asks for OpenMetrics at least as much as for the classic format."""
    wanted, otherwise = 0.0, 0.0
    for item in accept[:_LONGEST].split(","):
        kind, *parameters = item.split(";")
        name = kind.strip().lower()
        if name == _OPENMETRICS:
            wanted = max(wanted, _quality(parameters))
        elif name in _CLASSIC:
            otherwise = max(otherwise, _quality(parameters))
    return wanted > 0 and wanted >= otherwise


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        match = _QUALITY.fullmatch(parameter)
        if match is not None:
            return min(float(match[1]), 1.0)
    return 1.0
