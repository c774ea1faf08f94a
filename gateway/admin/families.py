"""Rows of numbers as the metric families of prometheus-client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from gateway.core.stats import Histogram

Labels = tuple[str, ...]
Row = tuple[Labels, float]
Numbers = Mapping[str, int] | Mapping[int, int] | Mapping[str, float]
S = TypeVar("S")
V = TypeVar("V")


def one(counted: dict[Labels, S], value: Callable[[S], V]) -> Iterator[tuple[Labels, V]]:
    """A row for each label, of the one number that `value` finds."""
    return ((labels, value(it)) for labels, it in counted.items())


def each(
    counted: dict[Labels, S], values: Callable[[S], Mapping[str, int] | Mapping[int, int] | Mapping[str, float]]
) -> Iterator[Row]:
    """A row for each label and each key of the numbers that `values` finds."""
    return (((*labels, str(key)), count) for labels, it in counted.items() for key, count in dict(values(it)).items())


def counter(name: str, text: str, labels: Labels, rows: Iterable[Row]) -> Metric:
    """What only grows; its name without `_total`."""
    return _filled(CounterMetricFamily(name, text, labels=labels), rows)


def gauge(name: str, text: str, labels: Labels, rows: Iterable[Row]) -> Metric:
    """What goes up and down."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), rows)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, rows: Iterable[Row]) -> Metric:
    for labelled, value in rows:
        family.add_metric(labelled, value)
    return family


def histogram(name: str, text: str, labels: Labels, rows: Iterable[tuple[Labels, Histogram]]) -> Metric:
    """What was observed, in buckets that add up."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for labelled, histogram in rows:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        counts = accumulate(histogram.counts[:])
        family.add_metric(labelled, list(zip(bounds, counts, strict=True)), histogram.total)
    return family
