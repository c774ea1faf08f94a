"""The model with the installed plugins' own options in it: `live.poll`, `broker.memory`, and strangers' alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Optional, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model

from gateway.config.model import (
    AuthKeys,
    BrokerKeys,
    ConfigKeys,
    LiveKeys,
    RouteKeys,
    TransportKeys,
    off_or_section,
)
from gateway.config.named import upstreams
from gateway.config.section import Section
from gateway.config.values import Name
from gateway.config.webhook_keys import VerifyKeys, WebhookKeys
from gateway.core.settings import PluginUse
from gateway.plugin.options import Options
from gateway.plugin.registry import Found, find


@dataclass(frozen=True, slots=True)
class Kind:
    """The plugins of one kind: their options by name, and why others can't be used."""

    options: Mapping[str, type[Options]]
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """The whole file's model, and the plugins in it."""

    config: type[ConfigKeys]
    sources: Kind
    authenticators: Kind
    brokers: Kind
    transports: Kind
    signatures: Kind


def model() -> Model:
    """The model for the plugins installed now; raises ValueError when two share a name."""
    kinds = ("sources", "authenticators", "brokers", "transports", "signatures")
    sources, authenticators, brokers, transports, signatures = (_kind(find(kind)) for kind in kinds)
    live = _with_one_of(LiveKeys, sources)
    broker = _with_one_of(BrokerKeys, brokers)
    auth = _with_one_of(AuthKeys, authenticators)
    webhook = _with(WebhookKeys, verify=_none_or(_with_one_of(VerifyKeys, signatures)))
    route = _with(RouteKeys, live=live | None, webhook=webhook | None)
    sections = {"routes": list[route], "broker": broker | None, "auth": dict[Name, auth] | None}  # type: ignore[valid-type]
    config = _with(ConfigKeys, **sections, transports=_with_any_of(TransportKeys, transports) | None)
    return Model(cast("type[ConfigKeys]", config), sources, authenticators, brokers, transports, signatures)


def used(section: Section, keys: type[Section]) -> PluginUse:
    """The one plugin that a section names, and its options."""
    names = type(section).model_fields.keys() - keys.model_fields.keys()
    (name,) = (name for name in names if getattr(section, name) is not None)
    options = getattr(section, name)
    return PluginUse(name=name, options=options, upstreams=upstreams(options))


def chosen(section: TransportKeys | None) -> dict[str, PluginUse | None]:
    """The plugins that a section names, and their options; None for those that are off."""
    given = {name: getattr(section, name) for name in type(section).model_fields} if section is not None else {}
    return {
        name: None if value == "off" else PluginUse(name=name, options=value)
        for name, value in given.items()
        if value is not None
    }


def _kind(plugins: Mapping[str, Found]) -> Kind:
    options: dict[str, type[Options]] = {}
    broken: dict[str, str] = {}
    for name, found in sorted(plugins.items()):
        try:
            options[name] = found.load().options
        except Exception as error:  # whatever a stranger's module raises when it is imported
            broken[name] = f"{type(error).__name__}: {error}"
    return Kind(options, broken)


def _with_one_of(base: type[Section], kind: Kind) -> type[Section]:
    fields: dict[str, object] = dict.fromkeys(kind.broken, (object, None))
    fields |= {
        name: (Annotated[model | None, BeforeValidator(_nothing_is_defaults)], Field(None, description=_title(model)))
        for name, model in kind.options.items()
    }
    return _derive(base, fields)


def _with_any_of(base: type[Section], kind: Kind) -> type[Section]:
    fields: dict[str, object] = dict.fromkeys(kind.broken, (Literal["off"] | None, None))
    fields |= {
        name: (
            Annotated[Optional[_off_or(model)], BeforeValidator(_nothing_is_defaults)],  # noqa: UP045 - a value
            Field(None, description=_title(model)),
        )
        for name, model in kind.options.items()
    }
    return _derive(base, fields)


def _off_or(model: type[Options]) -> object:
    off, section = Annotated[Literal["off"], Tag("off")], Annotated[model, Tag("section")]
    return Annotated[off | section, Discriminator(off_or_section)]


def _text_or_section(value: object) -> str:
    return "none" if isinstance(value, str) else "section"


def _none_or(model: type[Section]) -> object:
    none, section = Annotated[Literal["none"], Tag("none")], Annotated[model, Tag("section")]
    return Annotated[none | section, Discriminator(_text_or_section)]


def _with(base: type[Section], **types: object) -> type[Section]:
    """The model with other types for some of its fields."""
    return _derive(base, {name: (type_, base.model_fields[name]) for name, type_ in types.items()})


def _derive(base: type[Section], fields: Mapping[str, object]) -> type[Section]:
    make = cast("Callable[..., type[Section]]", create_model)
    return make(base.__name__.removesuffix("Keys"), __base__=base, **fields)


def _nothing_is_defaults(value: object) -> object:
    return {} if value is None else value


def _title(model: type[Options]) -> str:
    return (model.__doc__ or "").strip().split("\n")[0]
