from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_batch_options import Batch


@pytest.mark.parametrize("separator", [",", "|", ";", " ", "!"])
def test_separators(separator: str) -> None:
    assert Batch.model_validate({"param": "ids", "separator": separator}).separator == separator


@pytest.mark.parametrize("separator", ["", "a", "7", "é", "-", ".", "+", "=", ",,", "\n", "\0", "_"])
def test_a_separator_that_ids_may_have_in_them(separator: str) -> None:
    with pytest.raises(ValueError, match="expected one character"):
        Batch.model_validate({"param": "ids", "separator": separator})


@pytest.mark.parametrize("path", ["orders", "/o#x", "/o x", "/o\n", "//other.example/o", "", "/é"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        Batch.model_validate({"param": "ids", "path": path})


@pytest.mark.parametrize(
    ("path", "params", "options"),
    [
        ("/orders/{id}", ["id"], {}),
        ("/{shop}/orders/{id}", ["shop", "id"], {"id": "id"}),
        ("/orders/{id}/price", ["id"], {"path": "/prices"}),
        ("/{shop}/orders/{id}/price", ["shop", "id"], {"id": "id", "path": "/prices/{shop}?page={size}"}),
    ],
)
def test_what_fits_the_route(path: str, params: list[str], options: dict[str, object]) -> None:
    assert Batch.model_validate({"param": "ids", **options}).unfit(path, params) is None


@pytest.mark.parametrize("path", ["/orders/{id}/", "/orders/{id}/**"])
def test_a_list_that_cannot_be_guessed(path: str) -> None:
    assert Batch.model_validate({"param": "ids"}).unfit(path, ["id"]) is not None
