"""The keys of a webhook route."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.section import Section, Time
from gateway.config.values import (
    DeliveryChannel,
    DeliveryId,
    DeliveryPath,
    DeliveryText,
    Distinct,
    Expression,
    at_least,
    at_most,
)
from gateway.plugin.options import OrText, Secret, Size

Parameter = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.$\[\]-]{1,100}$")]


class VerifyKeys(Section):
    """Exactly one key names the signature scheme plugin."""


class Publication(Section):
    channel: DeliveryChannel
    """the channel of messages, as in orders.${body.customer}; without a value for each place nothing is published"""
    type: DeliveryText | None = None
    """what the message is, as in ${body.type}: it is then {"type", "data"}"""
    data: Expression = "body"
    """JMESPath of the message in body and header"""
    when: Expression | None = None
    """JMESPath that has to be true of body and header"""
    dotted: bool = False
    """values in the channel's name may hold dots, and so be several parts of it"""


class Dedupe(Section):
    id: DeliveryId
    """what tells deliveries apart, as in ${header.X-GitHub-Delivery}; those without it are all taken"""
    ttl: Time = 86_400.0
    """how long a delivery is remembered"""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"id": value} if isinstance(value, str) else value


class Challenge(Section):
    param: Parameter
    """the parameter whose value is answered: hub.challenge, challenge, validationToken"""
    where: dict[str, Secret] = Field(default={})
    """other parameters, and what has to be in them; else the answer is 403"""
    answer: Literal["text", "json"] = "text"
    """as it came, or as JSON under its own name"""

    @model_validator(mode="after")
    def _apart(self) -> Challenge:
        if self.param in self.where:
            raise ValueError("what is answered cannot be known before: take param out of where")
        return self


class WebhookKeys(Section):
    verify: Literal["none"] | VerifyKeys
    """how deliveries are known to be genuine: a signature scheme and its options; none takes them from anybody"""
    when: Expression | None = None
    """JMESPath of body and header that has to be true; other deliveries are ignored"""
    publish: list[Publication] = Field(default=[])
    """messages to publish"""
    refresh: Annotated[list[DeliveryPath], Distinct] | None = None
    """live URLs that may have changed, as in /api/orders/${body.id}: they are looked at at once"""
    dedupe: Annotated[Dedupe, OrText()] | None = None
    """a delivery that comes again is answered, and nothing else"""
    challenge: Challenge | None = None
    """the question of a service whether it may send: a parameter's value is the answer"""
    max_body: Annotated[Size, at_least("1KB"), at_most("25MB")] = 1024 * 1024
    """larger ones are refused"""
    timeout: Time = 10.0
    """for a delivery to come whole"""
