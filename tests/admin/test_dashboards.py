"""The dashboard and the alerts that are shipped ask for metrics and labels that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.metrics import registry
from gateway.admin.seed import seed
from gateway.core.settings import Gateway
from gateway.core.stats import Stats

CONFIG = Path(__file__).parents[2] / "config"
ALERTS = CONFIG / "prometheus" / "alerts.yml"
DASHBOARD = CONFIG / "grafana" / "tidegate.json"

# Labels that Prometheus adds to every series.
ADDED = {"job", "instance"}


@pytest.fixture
def series(settings: Gateway) -> dict[str, set[str]]:
    """The labels of every series that a scrape of a fresh gateway shows, by its name."""
    stats = Stats()
    stats.refused["origin"] += 1
    stats.tls["0.0.0.0:443"].not_after["cert.pem"] = 1.0
    seed(stats, settings, ("websocket", "sse"))
    text = generate_latest(registry(stats, lambda: 0)).decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def dashboard_expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def alert_expressions() -> list[str]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expression", dashboard_expressions() + alert_expressions())
def test_an_expression_names_series_and_labels_that_exist(expression: str, series: dict[str, set[str]]) -> None:
    named = re.findall(r"\b((?:tidegate|process)_\w+)(?:\{([^}]*)\})?", expression)
    assert named or expression.startswith("up{")
    known = set(ADDED)
    for name, matchers in named:
        known |= series[name]
        assert set(re.findall(r"(\w+)=", matchers)) <= series[name] | ADDED
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= known


def test_every_metric_of_ours_is_on_the_dashboard(series: dict[str, set[str]]) -> None:
    text = " ".join(dashboard_expressions())
    base = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series if name.startswith("tidegate_")}
    missing = {name for name in base if name not in text}
    assert missing == {"tidegate_connections_accepted_total", "tidegate_streams_opened_total"}


def test_panels_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells
        cells |= own


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_accepts_the_alerts() -> None:
    check = subprocess.run(
        ["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, timeout=60, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr
