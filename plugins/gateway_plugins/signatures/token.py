"""A secret that is sent along in a header, as GitLab does: it says who sends, and nothing of the body.

Good over TLS alone, and as good as the sender keeps it; a scheme that signs is better where there is a choice.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest

from gateway.plugin import ClientError, Context, Delivery, Plugin, SignaturePlugin
from gateway_plugins.signatures.hmac import HeaderName
from gateway_plugins.signatures.options import SecretOptions, plain

_BEARER = b"bearer "


class TokenOptions(SecretOptions):
    """A secret in a header, as from GitLab."""

    header: HeaderName = "X-Gitlab-Token"
    """where it is; in Authorization, after Bearer"""


class Token:
    """Knows the secrets by their hashes, which all have one length."""

    def __init__(self, options: TokenOptions, context: Context) -> None:
        self._header = options.header.lower().encode()
        self._digests = [sha256(secret).digest() for secret in plain(options.secret)]

    def verify(self, delivery: Delivery) -> int:
        token = delivery.header(self._header)
        if token is None:
            raise ClientError(401, "unsigned", f"there is no header {self._header.decode()}")
        if self._header == b"authorization" and token[: len(_BEARER)].lower() == _BEARER:
            token = token[len(_BEARER) :]
        given = sha256(token).digest()
        matching = [compare_digest(known, given) for known in self._digests]
        if True not in matching:
            raise ClientError(401, "bad_signature", "this is not a secret known here")
        return matching.index(True)


plugin: SignaturePlugin[TokenOptions] = Plugin(TokenOptions, Token)
