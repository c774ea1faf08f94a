"""Slack's signatures, and its question whether somebody is there (https://docs.slack.dev/reference/events/url_verification).

The question is signed as deliveries are, and comes whenever the URL is saved in Slack.
"""

from __future__ import annotations

from gateway.plugin import Context, Json, Plugin, SignaturePlugin
from gateway_plugins.signatures.hmac import Hmac
from gateway_plugins.signatures.options import TimedOptions, plain
from gateway_plugins.signatures.scheme import Scheme, Stamp, parse_payload

SLACK = Scheme(
    header=b"x-slack-signature",
    prefix=b"v0=",
    payload=parse_payload("v0:{timestamp}:{body}"),
    stamp=Stamp(header=b"x-slack-request-timestamp"),
)


class SlackOptions(TimedOptions):
    """Slack's Events API."""


class Slack(Hmac):
    """Answers the question, too."""

    def __init__(self, options: SlackOptions, context: Context) -> None:
        super().__init__(SLACK, plain(options.secret), context.clock, options.tolerance)

    def handshake(self, body: Json) -> Json:
        if not isinstance(body, dict) or body.get("type") != "url_verification":
            return None
        challenge = body.get("challenge")
        return {"challenge": challenge} if isinstance(challenge, str) else None


plugin: SignaturePlugin[SlackOptions] = Plugin(SlackOptions, Slack)
