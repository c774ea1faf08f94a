"""Every installed plugin of a kind, made with its default options: the contracts are tested on all of them."""

from __future__ import annotations

from gateway.plugin import Codec, Context
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock


def names(kind: str) -> list[str]:
    return sorted(find(kind))


def make(kind: str, name: str) -> object:
    clock = ManualClock()
    codecs: dict[str, Codec] = {}
    for codec, found in find("codecs").items():
        plugin = found.load()
        codecs[codec] = plugin.make(plugin.options(), Context(clock=clock))  # type: ignore[assignment]
    plugin = find(kind)[name].load()
    return plugin.make(plugin.options(), Context(clock=clock, codecs=codecs))
