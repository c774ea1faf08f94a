"""What happens to a session: its client says something, or a command has come to its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gateway.core.formats import Misread, Unintelligible
from gateway.core.messages import ClientMessage, Fault, Hello, Id, Response
from gateway.core.session_rules import Rules


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection stands."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Followed:
    """The channel is there, its head at `position`."""

    channel: str
    position: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The channel was refused, or has ended."""

    channel: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Failed:
    """A request or a publication was not carried out."""

    id: Id
    fault: Fault


@dataclass(frozen=True, slots=True)
class Published:
    """It is on its channel at `position`."""

    id: Id
    position: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """The new credentials hold until `expires`, and allow what `rules` say."""

    id: Id
    expires: str | None
    rules: Rules


@dataclass(frozen=True, slots=True)
class Waning:
    """The credentials end soon."""

    expires: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; nothing more can be said."""


Event: TypeAlias = (
    ClientMessage
    | Response
    | Opened
    | Followed
    | Lost
    | Failed
    | Published
    | Renewed
    | Waning
    | Closed
    | Misread
    | Unintelligible
)
