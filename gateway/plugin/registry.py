"""Plugins are found by entry points; the built-in ones too, by the same way as a stranger's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from gateway.plugin.authenticator import Authenticator
from gateway.plugin.broker import Broker
from gateway.plugin.codec import Codec
from gateway.plugin.context import Context
from gateway.plugin.options import Options
from gateway.plugin.signature import Signature
from gateway.plugin.source import AnySource
from gateway.plugin.transport import Transport

KINDS = ("sources", "transports", "authenticators", "codecs", "brokers", "signatures")

O = TypeVar("O", bound=Options)  # noqa: E741 - a plugin's options
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Plugin(Generic[O, T_co]):
    """What an entry point names: the model of the plugin's options, and what makes it from them."""

    options: type[O]
    make: Callable[[O, Context], T_co]


SourcePlugin = Plugin[O, AnySource]
TransportPlugin = Plugin[O, Transport]
AuthenticatorPlugin = Plugin[O, Authenticator]
CodecPlugin = Plugin[O, Codec]
BrokerPlugin = Plugin[O, Broker]
SignaturePlugin = Plugin[O, Signature]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An installed plugin: `distribution` and `version` say where it comes from."""

    kind: str
    name: str
    distribution: str
    version: str
    entry: EntryPoint

    def load(self) -> Plugin[Options, object]:
        """Import it; raises TypeError when the entry point does not name a Plugin."""
        plugin = self.entry.load()
        if not isinstance(plugin, Plugin):
            raise TypeError(f"{self.entry.value} is not a gateway.plugin.Plugin")
        return plugin


def find(kind: str) -> dict[str, Found]:
    """Every installed plugin of a kind in KINDS, by name; raises ValueError when two share a name."""
    found: dict[str, Found] = {}
    for entry in entry_points(group=f"tidegate.{kind}"):
        source = entry.dist
        this = Found(
            kind=kind,
            name=entry.name,
            distribution=source.name if source else "?",
            version=source.version if source else "?",
            entry=entry,
        )
        other = found.get(entry.name)
        if other is not None and other.entry.value != entry.value:
            raise ValueError(f"two {kind} are called {entry.name!r}: {other.entry.value} and {entry.value}")
        found[entry.name] = this
    return found
