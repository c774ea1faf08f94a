"""Runnable measurements: `python -m benchmarks.fanout`, `proxy`, `memory`; README.md reads the figures."""
