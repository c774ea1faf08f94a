"""Autobahn's own cases, and what the report makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.autobahn import QUICK, REASONS, Case, failures, report, run

REPORT = Path(__file__).parent.parent.parent / "docs" / "conformance.md"


async def test_core_and_limits() -> None:
    cases = await run(QUICK, 4)
    assert len(cases) == 301
    assert failures(cases) == []


def test_what_counts_as_a_failure() -> None:
    known = next(iter(REASONS))
    fine = [Case("1.1.1", "OK", ""), Case(known, "NON-STRICT", "")]
    wrong = [Case("1.1.2", "NON-STRICT", ""), Case(known, "FAILED", ""), Case("2.1", "UNCLEAN", "")]
    assert failures([*fine, *wrong]) == wrong


def test_the_report_counts_and_gives_reasons() -> None:
    known = next(iter(REASONS))
    text = report([Case("7.1.1", "OK", ""), Case(known, "INFORMATIONAL", ""), Case("7.1.2", "FAILED", "it hung up")])
    assert "| 7 closing | 3 | 1 | 0 | 1 | 1 |" in text
    assert f"| {known} | informational | {REASONS[known]} |" in text
    assert "| 7.1.2 | failed | it hung up |" in text


def test_the_kept_report_has_no_failure() -> None:
    (total,) = [line for line in REPORT.read_text().splitlines() if line.startswith("| all |")]
    assert total.endswith("| 0 |")


@pytest.mark.parametrize("reason", sorted(set(REASONS.values())))
def test_every_reason_is_in_the_kept_report(reason: str) -> None:
    assert reason in REPORT.read_text()
