"""How a list comes in pages, as an operator writes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gateway.plugin import Options
from gateway_plugins.sources.poll_credentials import HeaderName
from gateway_plugins.sources.poll_words import Expression, Parameter, Time


class Pages(Options):
    """A list that comes in pages. Without `header`, `field`, `page` or `offset`: by Link headers (RFC 8288)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    header: HeaderName | None = None
    """the header with the next page's URL, as Next-Page"""
    field: Expression | None = None
    """JMESPath of the next page's URL in the answer"""
    cursor: Parameter | None = None
    """with header or field: what is there is no URL but the value of this parameter, as in after={last id}"""
    page: Parameter | None = None
    """the parameter that counts pages"""
    offset: Parameter | None = None
    """the parameter that counts items"""
    first: Annotated[int, Field(ge=0, le=1)] = 1
    """with page: the number of the first"""
    size: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """with page or offset: items of a full page; one with fewer is the last. Without it, an empty one is"""
    at: Expression | None = None
    """with page or offset: JMESPath of the list in the answer; without it the answer is the list"""
    max: Annotated[int, Field(ge=1, le=1000)] = 20
    """no more pages in one poll; what lies beyond is unknown, and never taken for deleted"""
    etag_of_all: bool = False
    """the ETag of the first page stands for the whole list, so that it may be asked whether that has changed"""
    stop_when_known: bool = False
    """for lists with the newest first: pages are read up to the first of which everything is known already"""
    full_every: Time = 300.0
    """with stop_when_known: the whole is read again after so long, to see what lies further down"""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {} if value == "link" else value

    @model_validator(mode="after")
    def _one_way(self) -> Pages:
        ways = [name for name in ("header", "field", "page", "offset") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{ways[0]} and {ways[1]} are two ways to the next page: leave one")
        if self.cursor is not None and (not ways or ways[0] in ("page", "offset")):
            raise ValueError("cursor needs header or field: where its value is")
        if (self.size is not None or self.at is not None) and (not ways or ways[0] in ("header", "field")):
            raise ValueError("size and at need page or offset")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"const": "link"}, handler(core)]}
