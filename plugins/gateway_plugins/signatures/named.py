"""The schemes of senders that many use, as data, from their documentation.

GitHub   https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
Shopify  https://shopify.dev/docs/apps/build/webhooks/subscribe/https
Stripe   https://docs.stripe.com/webhooks/signature
Standard https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
Svix     https://docs.svix.com/receiving/verifying-payloads/how-manual
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr

from gateway.plugin import Context, Plugin, SignaturePlugin
from gateway_plugins.signatures.hmac import Hmac
from gateway_plugins.signatures.options import Keys, SecretOptions, TimedOptions, from_base64, plain
from gateway_plugins.signatures.scheme import Scheme, Stamp, parse_payload

_BODY = parse_payload("{body}")

GITHUB = Scheme(header=b"x-hub-signature-256", prefix=b"sha256=", payload=_BODY)

SHOPIFY = Scheme(header=b"x-shopify-hmac-sha256", encoding="base64", payload=_BODY)

STRIPE = Scheme(
    header=b"stripe-signature",
    prefix=b"v1=",
    separator=b",",
    payload=parse_payload("{timestamp}.{body}"),
    stamp=Stamp(prefix=b"t="),
)


def _standard(prefix: str) -> Scheme:
    return Scheme(
        header=f"{prefix}-signature".encode(),
        prefix=b"v1,",
        separator=b" ",
        encoding="base64",
        payload=parse_payload(f"{{header:{prefix}-id}}.{{timestamp}}.{{body}}"),
        stamp=Stamp(header=f"{prefix}-timestamp".encode()),
    )


STANDARD, SVIX = _standard("webhook"), _standard("svix")


class GithubOptions(SecretOptions):
    """GitHub, and who else signs in X-Hub-Signature-256."""


class ShopifyOptions(SecretOptions):
    """Shopify."""


class StripeOptions(TimedOptions):
    """Stripe."""


def _whsec(secret: SecretStr) -> bytes:
    return from_base64(secret.get_secret_value().removeprefix("whsec_"))


def _keys(secrets: list[SecretStr]) -> list[SecretStr]:
    for secret in secrets:
        _whsec(secret)
    return secrets


class StandardOptions(TimedOptions):
    """Standard Webhooks, symmetric signatures (v1)."""

    secret: Annotated[Keys, AfterValidator(_keys)]
    """what deliveries are signed with, as whsec_ and base64; a list while it is being changed"""


class SvixOptions(StandardOptions):
    """Svix, and the many who send through it: Standard Webhooks under headers of its own."""


def _github(options: GithubOptions, context: Context) -> Hmac:
    return Hmac(GITHUB, plain(options.secret), context.clock)


def _shopify(options: ShopifyOptions, context: Context) -> Hmac:
    return Hmac(SHOPIFY, plain(options.secret), context.clock)


def _stripe(options: StripeOptions, context: Context) -> Hmac:
    return Hmac(STRIPE, plain(options.secret), context.clock, options.tolerance)


def _standard_webhooks(options: StandardOptions, context: Context) -> Hmac:
    return Hmac(STANDARD, [_whsec(secret) for secret in options.secret], context.clock, options.tolerance)


def _svix(options: SvixOptions, context: Context) -> Hmac:
    return Hmac(SVIX, [_whsec(secret) for secret in options.secret], context.clock, options.tolerance)


github: SignaturePlugin[GithubOptions] = Plugin(GithubOptions, _github)
shopify: SignaturePlugin[ShopifyOptions] = Plugin(ShopifyOptions, _shopify)
stripe: SignaturePlugin[StripeOptions] = Plugin(StripeOptions, _stripe)
standard: SignaturePlugin[StandardOptions] = Plugin(StandardOptions, _standard_webhooks)
svix: SignaturePlugin[SvixOptions] = Plugin(SvixOptions, _svix)
