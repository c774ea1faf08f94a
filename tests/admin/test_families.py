from __future__ import annotations

from gateway.admin.families import Labels, counter, each, gauge, histogram, one
from gateway.core.stats import Histogram


def test_one_number_for_each_label() -> None:
    counted: dict[Labels, list[int]] = {("a",): [1, 2], ("b",): [3]}
    family = counter("tidegate_things", "Things.", ("route",), one(counted, len))
    assert family.type == "counter"
    assert [(sample.name, sample.labels, sample.value) for sample in family.samples] == [
        ("tidegate_things_total", {"route": "a"}, 2),
        ("tidegate_things_total", {"route": "b"}, 1),
    ]


def test_several_numbers_for_each_label() -> None:
    counted: dict[Labels, dict[str, int]] = {("a",): {"ok": 1, "failed": 2}}
    family = gauge("tidegate_things", "Things.", ("route", "result"), each(counted, lambda numbers: numbers))
    assert [(sample.labels["result"], sample.value) for sample in family.samples] == [("ok", 1), ("failed", 2)]


def test_buckets_add_up() -> None:
    seconds = Histogram((1.0, 2.0))
    for value in (0.5, 1.5, 1.5, 9.0):
        seconds.observe(value)
    family = histogram("tidegate_seconds", "Seconds.", ("route",), [(("a",), seconds)])
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert buckets == {"1.0": 1, "2.0": 3, "+Inf": 4}
