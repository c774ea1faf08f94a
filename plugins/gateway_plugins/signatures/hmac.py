"""HMAC signatures of any sender: which header has them, how they are written, and what they are of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator

from gateway.plugin import Clock, Context, Delivery, Json, Options, Plugin, SignaturePlugin
from gateway_plugins.signatures.options import USUAL, Keys, Tolerance, from_base64
from gateway_plugins.signatures.question import zoom
from gateway_plugins.signatures.scheme import Algorithm, Encoding, Scheme, Stamp, check, parse_payload

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)

KeyFormat = Literal["text", "base64", "hex"]


class Hmac:
    """Verifies by one scheme."""

    def __init__(self, scheme: Scheme, secrets: list[bytes], clock: Clock, tolerance: float = USUAL) -> None:
        self._scheme = scheme
        self._secrets = secrets
        self._now = clock.time
        self._tolerance = tolerance

    def verify(self, delivery: Delivery) -> int:
        return check(self._scheme, delivery, self._secrets, now=self._now(), tolerance=self._tolerance)


class AskedHmac(Hmac):
    """Answers Zoom's question, too, with the first secret."""

    def handshake(self, body: Json) -> Json:
        return zoom(body, self._secrets[0])


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError("expected the name of a header, as in X-Signature")
    return name


def _payload(text: str) -> str:
    parse_payload(text)
    return text


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError("expected hexadecimal digits") from None


_KEYS: dict[KeyFormat, Callable[[str], bytes]] = {
    "text": str.encode,
    "base64": from_base64,
    "hex": _from_hex,
}

HeaderName = Annotated[str, AfterValidator(_header_name)]
Written = Annotated[str, Field(min_length=1, max_length=50)]


class Timestamp(Options):
    """When the delivery was signed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    header: HeaderName | None = None
    """the header that says it"""
    prefix: Written | None = None
    """or what it stands after, beside the signatures"""
    unit: Literal["s", "ms"] = "s"
    """of time since 1970"""

    @model_validator(mode="after")
    def _one_place(self) -> Timestamp:
        if (self.header is None) is (self.prefix is None):
            raise ValueError("give header or prefix: where the time is")
        return self


class HmacOptions(Options):
    """HMAC signatures in a header, as most senders make them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    secret: Keys
    """what deliveries are signed with; a list while it is being changed"""
    key: KeyFormat = "text"
    """how the secret is written"""
    header: HeaderName
    """where the signature is"""
    prefix: Annotated[str, Field(max_length=50)] = ""
    """what stands before it, as sha256="""
    separator: Written | None = None
    """between several of them; without it, there is one"""
    algorithm: Algorithm = "sha256"
    """of the HMAC"""
    encoding: Encoding = "hex"
    """how signatures are written"""
    payload: Annotated[str, AfterValidator(_payload)] = "{body}"
    """what is signed: text with {body}, {timestamp}, {method}, {target} and {header:NAME}"""
    timestamp: Timestamp | None = None
    """where the delivery says when it was signed; without it, a delivery can be sent again at any time"""
    tolerance: Tolerance | None = None
    """with timestamp: how far that may be from now, either way; 5m"""

    question: Literal["zoom"] | None = None
    """the question of a sender that is answered with an HMAC: that of Zoom"""

    @model_validator(mode="after")
    def _fitting(self) -> HmacOptions:
        if (self.timestamp is not None) is not ("{timestamp}" in self.payload):
            raise ValueError("timestamp and {timestamp} in payload go together: what is not signed can be made up")
        if self.tolerance is not None and self.timestamp is None:
            raise ValueError("tolerance needs timestamp: where the time is that it is about")
        if self.timestamp is not None and self.timestamp.prefix is not None and self.separator is None:
            raise ValueError("timestamp.prefix needs separator: what stands between it and the signature")
        self.keys()
        return self

    def keys(self) -> list[bytes]:
        """The secrets as they are used."""
        return [_KEYS[self.key](_text(secret)) for secret in self.secret]


def _text(secret: SecretStr) -> str:
    return secret.get_secret_value()


def _scheme(options: HmacOptions) -> Scheme:
    at = options.timestamp
    return Scheme(
        header=options.header.lower().encode(),
        prefix=options.prefix.encode(),
        separator=(options.separator or "").encode(),
        algorithm=options.algorithm,
        encoding=options.encoding,
        payload=parse_payload(options.payload),
        stamp=None
        if at is None
        else Stamp(
            header=(at.header or "").lower().encode(),
            prefix=(at.prefix or "").encode(),
            per_second=1000 if at.unit == "ms" else 1,
        ),
    )


def _make(options: HmacOptions, context: Context) -> Hmac:
    kind = Hmac if options.question is None else AskedHmac
    return kind(_scheme(options), options.keys(), context.clock, options.tolerance or USUAL)


plugin: SignaturePlugin[HmacOptions] = Plugin(HmacOptions, _make)
