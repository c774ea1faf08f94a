"""How a sender signs: a scheme as data, and the one check that all of them share.

    Stripe-Signature: t=1700000000,v1=5257a8...,v1=6ffbb5...
    │                 │            └ signatures: after a prefix, between separators, in hex or base64
    │                 └ when it was signed
    └ header

What is signed is made from the payload's pieces. A signature is made anew and compared as it is written, so that no
two texts pass for one signature. Pure: the time comes in.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hmac import compare_digest, digest
from typing import Literal

from gateway.plugin import ClientError, Delivery

Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]
Piece = Callable[[Delivery, bytes], "bytes | None"]
"""Of what is signed, given when it was; None where the delivery lacks it."""

# Senders that change their secret send two signatures for a while, some one for each key that they have.
MOST_SIGNATURES = 10
# Seconds or milliseconds since 1970 have 10 or 13 digits.
_LONGEST_TIME = 15

_PLACE = re.compile(r"\{([^{}]*)\}")
_HEADER = re.compile(r"header:([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Where a delivery says when it was signed: in a header of its own, or after `prefix` beside the signatures."""

    header: bytes = b""
    prefix: bytes = b""
    per_second: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """`header` in lower case; without a `separator` there is one signature."""

    header: bytes
    prefix: bytes = b""
    separator: bytes = b""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    payload: Sequence[Piece]
    stamp: Stamp | None = None


def parse_payload(text: str) -> tuple[Piece, ...]:
    """What is signed, from text with {body}, {timestamp}, {method}, {target} and {header:NAME}; raises ValueError."""
    pieces: list[Piece] = []
    end = 0
    for place in _PLACE.finditer(text):
        pieces += [_text(text[end : place.start()]), _piece(place[1])]
        end = place.end()
    if "{" in _PLACE.sub("", text) or "}" in _PLACE.sub("", text):
        raise ValueError("{ without its }")
    if "{body}" not in text:
        raise ValueError("{body} has to be signed, or anybody could send another")
    return (*pieces, _text(text[end:]))


def _text(text: str) -> Piece:
    data = text.encode()
    return lambda delivery, stamp: data


def _piece(inside: str) -> Piece:
    named = _HEADER.fullmatch(inside)
    if named is not None:
        name = named[1].lower().encode()
        return lambda delivery, stamp: delivery.header(name)
    known = _PIECES.get(inside)
    if known is None:
        raise ValueError(f"{{{inside}}}: expected {{body}}, {{timestamp}}, {{method}}, {{target}} or {{header:NAME}}")
    return known


_PIECES: dict[str, Piece] = {
    "body": lambda delivery, stamp: delivery.body,
    "timestamp": lambda delivery, stamp: stamp,
    "method": lambda delivery, stamp: delivery.method.encode(),
    "target": lambda delivery, stamp: delivery.target,
}


def check(scheme: Scheme, delivery: Delivery, secrets: Sequence[bytes], *, now: float, tolerance: float) -> int:
    """The index of the secret that the delivery is signed with; raises ClientError 401."""
    value = delivery.header(scheme.header)
    if value is None:
        raise _refused("unsigned", f"there is no header {scheme.header.decode()}: deliveries have to be signed")
    parts = value.split(scheme.separator, MOST_SIGNATURES + 1) if scheme.separator else [value]
    parts = [part.strip() for part in parts]
    stamp = _stamp(scheme.stamp, delivery, parts)
    signed = _signed(scheme, delivery, stamp)
    given = [part[len(scheme.prefix) :] for part in parts if part.startswith(scheme.prefix)]
    if scheme.encoding == "hex":
        given = [text.lower() for text in given]  # some senders write it in upper case
    for index, secret in enumerate(secrets):
        wanted = _encoded(scheme.encoding, digest(secret, signed, scheme.algorithm))
        if any(compare_digest(wanted, text) for text in given):
            _check_age(scheme.stamp, stamp, now, tolerance)
            return index
    raise _refused("bad_signature", "the signature is not that of this body and of a secret known here")


def _stamp(where: Stamp | None, delivery: Delivery, parts: Sequence[bytes]) -> bytes:
    if where is None:
        return b""
    if where.header:
        value = delivery.header(where.header)
    else:
        value = next((part[len(where.prefix) :] for part in parts if part.startswith(where.prefix)), None)
    if value is None or not value.isdigit() or len(value) > _LONGEST_TIME:
        raise _refused("unsigned", "there is no time in the delivery's headers: it has to say when it was signed")
    return value


def _signed(scheme: Scheme, delivery: Delivery, stamp: bytes) -> bytes:
    pieces = [piece(delivery, stamp) for piece in scheme.payload]
    found = [piece for piece in pieces if piece is not None]
    if len(found) < len(pieces):
        raise _refused("unsigned", "a header is missing that has to be signed")
    return b"".join(found)


def _encoded(encoding: Encoding, mac: bytes) -> bytes:
    return mac.hex().encode() if encoding == "hex" else b64encode(mac)


def _check_age(where: Stamp | None, stamp: bytes, now: float, tolerance: float) -> None:
    """Both ways: the sender's clock may be ahead, but what is signed for tomorrow could be replayed until then."""
    if where is not None and abs(now - int(stamp) / where.per_second) > tolerance:
        raise _refused(
            "stale", f"signed more than {tolerance:g} seconds ago or ahead: clocks differ, or it is a replay"
        )


def _refused(code: str, detail: str) -> ClientError:
    return ClientError(401, code, detail)
