"""How a resource is asked for, as an operator writes it."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, model_validator

from gateway.plugin import Options

_MEDIA = re.compile(r"[!#$&^_.+A-Za-z0-9-]{1,100}/[!#$&^_.+A-Za-z0-9-]{1,100}(;[ -~]{1,100})?", re.ASCII)


def _content_type(value: str) -> str:
    if not _MEDIA.fullmatch(value):
        raise ValueError("expected a media type, as in application/json")
    return value


class Asking(Options):
    """How the resource is asked for: GET, or a POST that changes nothing there, as searches and GraphQL queries are."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    method: Literal["GET", "POST"] = "GET"
    """POST only for what may be asked again and again, at any time"""
    body: str | dict[str, object] | list[object] | None = None
    """with POST: what is sent, a text as it is, anything else as JSON"""
    content_type: Annotated[str, AfterValidator(_content_type)] = "application/json"
    """with POST: what the body is"""

    @model_validator(mode="after")
    def _fits(self) -> Asking:
        if self.method == "POST" and not self.payload:
            raise ValueError("POST needs body: what the resource is asked with")
        if self.method == "GET" and self.body is not None:
            raise ValueError("body needs method: POST")
        if self.method == "GET" and self.content_type != type(self).model_fields["content_type"].default:
            raise ValueError("content_type needs method: POST")
        return self

    @property
    def payload(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, separators=(",", ":"))).encode()
