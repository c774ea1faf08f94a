"""The keys of a route that is a channel of messages."""

from __future__ import annotations

from pydantic import Field, model_validator

from gateway.config.section import Section
from gateway.config.values import MessageName, Origin


class ChannelKeys(Section):
    name: MessageName
    """the channel, as in orders.${params.customer} or orders.${claims.sub}; a URL without a value for each is a 404"""
    dotted: bool = False
    """values in the name may hold dots, and so be several parts of it"""
    publish: bool = False
    """clients that are let in may POST messages, as JSON"""
    origins: list[Origin] = Field(default=[])
    """pages of other origins that may read it, and publish, with the cookies of this one; * allows all"""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value
