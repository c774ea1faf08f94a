"""Which parts of a URL or a text must never be written down.

Decides by name alone: the value of a parameter whose name looks like a credential's becomes REDACTED.
Names are compared percent-decoded and without case. `;` may separate as `&` does: backends differ.
A value that itself holds such a parameter (a URL in a URL) goes as a whole. Better one value too many:
a page token that nobody can read in a log harms nobody.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

REDACTED = b"REDACTED"

_ANYWHERE = (
    r"token|secret|passw|passphrase|credential|signature|session|sessid|jwt|authoriz|bearer|saml|csrf|xsrf"
    r"|(?:api|access|private|shared|subscription|service|client)[-_.]?key"
)
_WHOLE = r"auth|code|key|sig|sid|pwd|pass|otp|pin|ticket|assertion|code_verifier|cookie"
# Whole words may be the last part of `live.ticket` or `login[pass]`.
_SECRET = re.compile(rf"{_ANYWHERE}|(?:^|[.\[:;])(?:{_WHOLE})\]?$", re.IGNORECASE)

# Each pattern begins at a delimiter only and never backs up, so that a hostile query costs linear time.
_PAIR = re.compile(rb"(?<![^&;])([^&;=]*+)=([^&;]*+)")
_INNER = re.compile(r"(?<![^=?&;#])([^=?&;#]*+)=")
_MATRIX = re.compile(rb"(?:;|%3[Bb])([^;=%]*+)(?:=|%3[Dd])([^;]*+)")
_SEGMENT = re.compile(rb"[^/]++")
_NESTING = 3  # how many times over a URL inside a value may be encoded
_ODD = re.compile(rb"[;=]|%(?:25)*+3[BbDd]").search  # what a value with parameters of its own must hold
_CACHED_NAME = 64  # longer names are not worth their place in the cache

_USERINFO = re.compile(r"(?<=://)[^/@\s\"'<>]*+@")
_SCHEME = re.compile(r"\b(bearer|basic|digest|negotiate)\s+[^\s,;\"']+", re.IGNORECASE)
_HEADER = re.compile(r"\b((?:proxy-)?authorization|(?:set-)?cookie|[\w-]{0,32}-key): [^\r\n]+", re.IGNORECASE)
_TEXT_PAIR = re.compile(r"([\w.%\[\]-]{1,64}+)(=|[\"']: ?[\"'])([^\s&;,\"'<>)}]+)")


def is_secret(name: str) -> bool:
    """Whether a parameter of this name, decoded, holds a credential."""
    return _SECRET.search(name.strip()) is not None


def redact_query(query: bytes) -> bytes:
    """An encoded query string without its secrets; everything else byte for byte."""
    parameters = query.split(b"&")
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if _hides(name) or _ODD(value):
            return b"&".join([_cut(parameter, _PAIR) for parameter in parameters])
    return query


def redact_path(path: bytes) -> bytes:
    """An encoded path without the secrets of its `;name=value` parameters, such as `;jsessionid=`."""
    if b";" not in path and b"%3" not in path:
        return path
    return _SEGMENT.sub(_segment, path)


def redact_text(text: str) -> str:
    """A log message without what looks like credentials: the last safety net, not a reason to log them."""
    text = _USERINFO.sub("REDACTED@", text)
    text = _HEADER.sub(r"\1: REDACTED", text)
    text = _SCHEME.sub(r"\1 REDACTED", text)
    return _TEXT_PAIR.sub(_text_pair, text)


def _segment(match: re.Match[bytes]) -> bytes:
    return _cut(match[0], _MATRIX)


def _cut(text: bytes, pairs: re.Pattern[bytes]) -> bytes:
    """The text up to its first secret value: what follows may belong to it, if the backend knows no `;`."""
    for pair in pairs.finditer(text):
        name, value = pair.groups()
        if pair.start(2) < len(text) and (_hides(name) or _nested(value)):
            return text[: pair.start(2)] + REDACTED
    return text


def _text_pair(match: re.Match[str]) -> str:
    name, between, _ = match.groups()
    return f"{name}{between}REDACTED" if is_secret(unquote_plus(name)) else match[0]


def _hides(name: bytes) -> bool:
    return _known(name) if len(name) <= _CACHED_NAME else _decide(name)


def _decide(name: bytes) -> bool:
    return is_secret(unquote_plus(name.decode("latin-1"), encoding="latin-1"))


_known = lru_cache(maxsize=1024)(_decide)


def _nested(value: bytes) -> bool:
    """Whether a value holds parameters of its own, and one of them is secret."""
    if not _ODD(value):
        return False
    inner = value.decode("latin-1")
    for _ in range(_NESTING):
        if any(is_secret(name) for name in _INNER.findall(inner)):
            return True
        if "%" not in inner:
            return False
        inner = unquote_plus(inner, encoding="latin-1")
    return False
