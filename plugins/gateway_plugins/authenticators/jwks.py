"""An issuer's keys by URL (RFC 7517 section 5), fetched through the gateway's own client and kept.

One request at a time asks, whatever the number of tokens. Keys that are due for a look still count while one is
under way, and while the issuer can't be reached: its outage is not everybody's. A key that is not there is looked for
at most once in a while, because anybody can make one up.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import TypeAlias, cast

import jwt

from gateway.plugin import Context, Json, UpstreamError, origin_and_target, outside_url
from gateway_plugins.authenticators.jwt_keys import Found, Key, suited

Named: TypeAlias = "tuple[str | None, Key, list[str]]"

_log = logging.getLogger("tidegate.auth")

_MOST_BYTES = 256 * 1024  # large providers' sets have 2 to 10 keys of 1 KB, with their certificates
_MOST_KEYS = 100
# Between two looks for a key that is not there, or at an issuer that failed.
_PAUSE = 10.0
# How long keys count that can't be looked at any more: a weekend's outage is survived, a forgotten issuer is not.
_STALE = 3 * 86400.0


def check_url(url: str) -> str:
    """The URL, if keys may be fetched from there; raises ValueError."""
    return outside_url(
        url,
        example="https://id.example.com/.well-known/jwks.json",
        risk="whoever can change these keys can be anybody: fetch them by https",
    )


class KeySet:
    """The keys of one issuer."""

    def __init__(self, url: str, algorithms: Sequence[str], refresh: float, context: Context) -> None:
        origin, self._target = origin_and_target(url)
        self._upstream = context.upstream_at(origin)
        self._algorithms = algorithms
        self._refresh = refresh
        self._now = context.clock.monotonic
        self._keys: list[Named] = []
        self._fetched = self._tried = float("-inf")
        self._failing = False
        self._asking = asyncio.Lock()

    async def find(self, kid: object) -> Found:
        """The key called `kid`; without a name, the only one there is. Raises UpstreamError."""
        age = self._now() - self._fetched
        if age >= self._refresh and not (age < _STALE and self._asking.locked()):
            await self._look(self._fetched)
        found = self._named(kid)
        if not found:
            await self._look(self._fetched)
            found = self._named(kid)
        if self._now() - self._fetched >= _STALE:
            raise UpstreamError(f"the keys of {self._upstream.name} cannot be fetched")
        return found

    def _named(self, kid: object) -> Found:
        if kid is None:
            return [(key, algorithms) for _, key, algorithms in self._keys] if len(self._keys) == 1 else []
        return [(key, algorithms) for name, key, algorithms in self._keys if name == kid]

    async def _look(self, seen: float) -> None:
        """Fetch the keys, unless that was tried just now, or somebody has done it since `seen`."""
        async with self._asking:
            if self._fetched != seen or self._now() - self._tried < _PAUSE:
                return
            self._tried = self._now()
            try:
                self._keys = await self._fetch()
            except (UpstreamError, ValueError) as error:
                self._fails(str(error))
                return
            except asyncio.CancelledError:
                self._tried = float("-inf")  # whoever asked has left: the next asks
                raise
            self._fetched = self._now()
            self._fails("")

    async def _fetch(self) -> list[Named]:
        accept = [(b"accept", b"application/jwk-set+json, application/json")]
        answer = await self._upstream.fetch("GET", self._target, accept, max_body=_MOST_BYTES)
        if answer.status != 200:
            raise ValueError(f"the answer was {answer.status}")
        try:
            document: Json = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise ValueError("the answer is not JSON") from None
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
            raise ValueError("the answer is no key set")
        keys = [key for entry in listed if isinstance(entry, dict) and (key := self._key(entry)) is not None]
        if not keys:
            raise ValueError("there is no key among them that can be used")
        return keys

    def _key(self, entry: dict[str, Json]) -> Named | None:
        """One public key for signatures with the algorithms that it may be used with, or None."""
        kid, use, algorithm = entry.get("kid"), entry.get("use", "sig"), entry.get("alg")
        if use != "sig" or entry.get("kty") == "oct" or "d" in entry:
            return None  # a secret that was published is none
        try:
            key = jwt.PyJWK(entry).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return None
        fitting = [name for name in self._algorithms if name in suited(key) and algorithm in (None, name)]
        return (kid if isinstance(kid, str) else None, cast("Key", key), fitting) if fitting else None

    def _fails(self, reason: str) -> None:
        """Log once when it begins and once when it is over."""
        if reason and not self._failing:
            kept = "those that are known still count" if self._keys else "nobody is let in by them"
            _log.warning("the keys of %s cannot be fetched (%s); %s", self._upstream.name, reason, kept)
        elif self._failing and not reason:
            _log.warning("the keys of %s are fetched again", self._upstream.name)
        self._failing = bool(reason)
