"""What is shown of the configuration in force, and of those that were to take its place: metrics, and answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from gateway.admin.families import counter, each
from gateway.core.event import Json
from gateway.core.plan import Difference, Plan
from gateway.core.stats import ConfigStats
from gateway.errors import ConfigError

# Names of one kind that an answer holds; of more, as of what is unchanged, the number is enough.
MOST = 1000


def configuration(config: ConfigStats) -> Iterator[Metric]:
    """The families of metrics."""
    yield InfoMetricFamily("tidegate_config", "Hash of the configuration in force.", {"hash": config.hash})
    yield counter(
        "tidegate_config_reloads",
        "Configurations that took the place of one in force (ok) or did not (failed).",
        ("result",),
        each({(): config}, lambda it: it.reloads),
    )
    yield GaugeMetricFamily(
        "tidegate_config_last_reload_successful",
        "1 while the configuration in force is the last that was read, 0 once that had mistakes.",
        int(config.successful),
    )
    yield GaugeMetricFamily(
        "tidegate_config_last_reload_success_timestamp_seconds",
        "Since when the configuration is in force, in seconds since 1970.",
        config.since,
    )


def shown(plan: Plan, config_hash: str) -> dict[str, Json]:
    """What a reload has changed, by kind."""
    return {"hash": config_hash, **{kind.name: _difference(getattr(plan, kind.name)) for kind in fields(plan)}}


def _difference(names: Difference) -> dict[str, Json]:
    return {
        "added": [*names.added[:MOST]],
        "changed": [*names.changed[:MOST]],
        "removed": [*names.removed[:MOST]],
        "unchanged": len(names.unchanged),
    }


def mistakes(error: ConfigError) -> dict[str, Json]:
    """What is wrong with a configuration, as a problem's further members."""
    names = ("file", "line", "column", "path", "message")
    return {"errors": [{name: getattr(problem, name) for name in names} for problem in error.problems]}
