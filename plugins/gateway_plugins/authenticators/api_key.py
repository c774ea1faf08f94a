"""API keys in a header, from a file that is read again when it changes.

A line of the file is a name, a key (or `sha256:` and its hash in hex) and, if need be, claims as a JSON object:

    # who    key                       claims
    acme     sha256:9f86d081884c...    {"tier": "gold"}

Keys are compared by their hashes, in a time that does not depend on them.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated

from pydantic import AfterValidator

from gateway.plugin import (
    AuthenticatorPlugin,
    ClientError,
    Context,
    File,
    Identity,
    Json,
    Options,
    Plugin,
    Request,
)

_log = logging.getLogger("tidegate.auth")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_PART = re.compile(r"(\S+)\s+(\S+)(?:\s+(\{.*\}))?")
# 50,000 keys of 100 bytes; more belongs into a service that `forward` asks.
_MOST_BYTES = 5 * 1024 * 1024
# Keys that people make up are guessed: 16 random characters are 80 bits or more.
_SHORTEST = 16
_LOOK = 1.0  # seconds between two looks at the file's date
_OURS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "cookie"}


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
        raise ValueError("expected the name of a header, as in X-Api-Key")
    return name


class ApiKeyOptions(Options):
    """API keys in a header."""

    header: Annotated[str, AfterValidator(_header_name)] = "X-Api-Key"
    keys_file: File

    def schemes(self) -> tuple[dict[str, Json], ...]:
        return ({"type": "httpApiKey", "in": "header", "name": self.header},)

    def mistakes(self) -> Iterator[str]:
        try:
            read_keys(self.keys_file)
        except OSError as error:
            yield f"cannot read keys_file: {error.strerror}"
        except ValueError as error:
            yield f"keys_file: {error}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a key; `digest` is the key's."""

    digest: bytes
    identity: Identity


def read_keys(path: str) -> dict[bytes, Holder]:
    """The holders by their keys' digests; raises OSError, or ValueError with the line and nothing of the keys."""
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES // 1024**2} MB")
    holders: dict[bytes, Holder] = {}
    for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            holder = _holder(text, number)
            if holder.digest in holders:
                raise ValueError(f"line {number}: this key stands here twice")
            holders[holder.digest] = holder
    return holders


def _holder(line: str, number: int) -> Holder:
    parts = _PART.fullmatch(line)
    if parts is None:
        raise ValueError(f"line {number}: expected a name, a key and perhaps claims, as in: acme KEY {{...}}")
    name, key, claims = parts.groups()
    hashed = _HASH.fullmatch(key)
    if hashed is None and (len(key) < _SHORTEST or key.startswith("sha256:")):
        raise ValueError(f"line {number}: expected a key of at least {_SHORTEST} characters, or sha256: and 64 digits")
    digest = bytes.fromhex(hashed[1]) if hashed else sha256(key.encode()).digest()
    return Holder(digest, Identity(subject=name, claims={"sub": name, **_claims(claims, number)}))


def _claims(text: str | None, number: int) -> dict[str, Json]:
    try:
        claims = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise ValueError(f"line {number}: the claims are not a JSON object") from None
    assert isinstance(claims, dict)  # by its braces
    return claims


class ApiKeys:
    """The authenticator."""

    def __init__(self, options: ApiKeyOptions, context: Context) -> None:
        self.challenge = b"ApiKey header=%b" % options.header.encode()
        self._header = options.header.lower().encode()
        self._path = options.keys_file
        self._now = context.clock.monotonic
        self._looked = self._now()
        self._date = _date(self._path)
        self._holders = read_keys(self._path)

    async def authenticate(self, request: Request) -> Identity | None:
        key = request.header(self._header)
        if not key:
            return None
        self._look()
        digest = sha256(key).digest()
        holder = self._holders.get(digest)
        if holder is None or not compare_digest(holder.digest, digest):
            raise ClientError(401, "bad_key", "this API key is not known", close_code=4401)
        return holder.identity

    def _look(self) -> None:
        """Read the file again if it has changed; one that can't be read changes nothing, and the log says so once."""
        now = self._now()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        date = _date(self._path)
        if date == self._date:
            return
        self._date = date
        try:
            self._holders = read_keys(self._path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            _log.error("the keys in %s are not what they should be (%s); those before still count", self._path, reason)
        else:
            _log.info("%d keys read from %s", len(self._holders), self._path)


def _date(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


plugin: AuthenticatorPlugin[ApiKeyOptions] = Plugin(ApiKeyOptions, ApiKeys)
