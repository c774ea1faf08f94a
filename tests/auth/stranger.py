"""An authenticator as somebody else would write it, and how it is installed for a test."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints, entry_points

import pytest

from gateway.plugin import (
    AuthenticatorPlugin,
    ClientError,
    Context,
    Identity,
    Options,
    Plugin,
    Request,
    registry,
)


class TokenOptions(Options):
    """Tokens that are written down: the name of each token's holder."""

    tokens: dict[str, str]


class Tokens:
    challenge = b"Token"

    def __init__(self, options: TokenOptions, context: Context) -> None:
        self._holders = options.tokens

    async def authenticate(self, request: Request) -> Identity | None:
        kind, _, token = (request.header(b"authorization") or b"").decode("latin-1").partition(" ")
        if kind != "Token":
            return None
        if token not in self._holders:
            raise ClientError(401, "bad_token", "nobody has this token")
        return Identity(subject=self._holders[token], claims={"sub": self._holders[token], "length": len(token)})


plugin: AuthenticatorPlugin[TokenOptions] = Plugin(TokenOptions, Tokens)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if its wheel were installed, under the name `tokens`."""
    mine = EntryPoint("tokens", f"{__name__}:plugin", "tidegate.authenticators")

    def found(group: str) -> EntryPoints:
        return EntryPoints([*entry_points(group=group), *([mine] if group == mine.group else [])])

    monkeypatch.setattr(registry, "entry_points", found)
