"""How many resources are asked for with one request, as an operator writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from gateway.plugin import Options
from gateway_plugins.sources.poll_pages_options import Pages
from gateway_plugins.sources.poll_words import Expression, Parameter

_NAME = re.compile(r"\{([^{}]*)\}")


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]{0,1000}", value) or "#" in value or "//" in value:
        raise ValueError("expected a path, perhaps with a query, as in /api/orders?limit=100")
    return value


def _separator(value: str) -> str:
    if not re.fullmatch(r"[^\w.~@:+=-]", value) or not value.isprintable():
        raise ValueError("expected one character that no id has in it, such as , or | or ;")
    return value


class Batch(Options):
    """Resources that clients follow each by its own URL are read many at a time, from a list that takes their ids."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    param: Parameter
    """the parameter that takes the ids, as ids in ?ids=1,2,3"""
    path: Annotated[str, AfterValidator(_path)] | None = None
    """of the list, with {parameters} of the route's path; without it the path above the resource"""
    separator: Annotated[str, AfterValidator(_separator)] = ","
    """what stands between two ids"""
    repeat: bool = False
    """the parameter is given once for each id, as in ?id=1&id=2"""
    max: Annotated[int, Field(ge=1, le=1000)] = 100
    """ids of one request; a request line of more than 4 KB is divided as well"""
    at: Expression | None = None
    """JMESPath of the resources in the answer; without it the answer is the list of them"""
    key: Annotated[str, Field(pattern=r"^.{1,100}$")] = "id"
    """the field of each that holds its id"""
    id: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """the parameter of the route's path that is the id; needed where there are several"""
    pages: Pages | None = None
    """the list comes in pages, which are read until all that was asked for is found"""
    document: Expression | None = None
    """JMESPath that makes of such a resource what its own URL answers, as in {data: @}; without it they are the same"""

    @model_validator(mode="after")
    def _one_way(self) -> Batch:
        if self.repeat and "separator" in self.model_fields_set:
            raise ValueError("separator and repeat are two ways to give several ids: leave one")
        return self

    @property
    def paged(self) -> Pages | None:
        """The pages, whose lists are where the batch's are."""
        pages = self.pages
        return pages if pages is None or pages.at is not None else pages.model_copy(update={"at": self.at})

    def unfit(self, path: str, params: Sequence[str]) -> tuple[str, str] | None:
        """The key that doesn't fit the route's path with these parameters, and why."""
        if not params:
            return "", f"batch reads many resources, and {path} is one: give its path a parameter, as in /orders/{{id}}"
        if self.id is None and len(params) > 1:
            return "id", f"say which parameter is the id: {' or '.join(params)}"
        name = self.id or params[0]
        if name not in params:
            return "id", f"the route's path has no parameter {name!r}: {', '.join(params)}"
        if self.path is None:
            if not path.endswith(f"/{{{name}}}"):
                return "path", f"say where the list is: {path} does not end with {{{name}}}"
            return None
        for part in self.path.partition("?")[0].split("/"):
            inside = _NAME.fullmatch(part)
            if inside is None and ("{" in part or "}" in part):
                return "path", f"{part!r}: a parameter is a whole segment, as in /shops/{{shop}}/orders"
            if inside is not None and (inside[1] not in params or inside[1] == name):
                return "path", f"{part}: expected a parameter of the route's path that is not the id"
        return None
