"""Kinds of text: what is taken, and that no sentence repeats what was wrong."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config import values
from gateway.config.values import at_least, split_host_port
from gateway.plugin.options import Duration, Size


@pytest.mark.parametrize(
    ("text", "pair"),
    [("a:1", ("a", 1)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:65535", ("::1", 65535)), ("a_b.c:8", ("a_b.c", 8))],
)
def test_split_host_port(text: str, pair: tuple[str, int]) -> None:
    assert split_host_port(text) == pair


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:65536", "a:-1", "::1:80", "[::1]", "[x]:1", "[::1:1", "a b:1"])
def test_not_host_and_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_host_port(text)


GOOD = {
    "Address": ["127.0.0.1:80", "unix:/run/x.sock"],
    "BaseUrl": ["http://a", "https://a:1/b/c/", "http://[::1]:80", "http://a/b%20c"],
    "PathTemplate": ["/", "/a/{b}/**"],
    "Expression": ["data", "a.b[0].c", "[?x == `1`]"],
    "Method": ["GET", "M-SEARCH", "PROPFIND"],
    "Host": ["a.example", "127.0.0.1", "[::1]"],
    "HostHeader": ["preserve", "upstream", "a.b:80", "[::1]:80"],
    "Origin": ["*", "https://a.b:80", "http://[::1]:3000", "app://local"],
    "LogTarget": ["stdout", "stderr", "off", "./a.log", "/var/log/a"],
    "Label": ["a b", "/x/{y}", "é"],
    "Name": ["a", "a.b-c_1"],
    "Text": ["a", " "],
}
BAD = {
    "Address": ["", "80", "unix:x", "unix:/a\0", "http://a:80"],
    "BaseUrl": [
        *("", "a:80", "ftp://a", "http://", "http://u@a", "http://:p@a", "http://a?", "http://a#b", "http://a:0"),
        *("http://a:b", "http://a b", "http://a/b c", "http://a/../b", "http://é.b", "http://[x]"),
    ],
    "PathTemplate": ["", "a", "/a//b"],
    "Expression": ["", "a[", "a b"],
    "Method": ["", "get", "G T"],
    "Host": ["", "a:80", "*.a", "[x]", "a/b", "::1"],
    "HostHeader": ["", "a b", "a\r\nb", "a/b"],
    "Origin": ["", "a.b", "https://a/b", "https://", "null x"],
    "LogTarget": ["", "stdot", "a.log", "/a\0b"],
    "Text": ["", "a\0b"],
    "Label": ["", "a\nb", "x" * 201],
    "Name": ["", "a b", "-a", "x" * 65],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in GOOD.items() for text in texts])
def test_taken(name: str, text: str) -> None:
    TypeAdapter(getattr(values, name)).validate_python(text, strict=True)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(values, name)).validate_python(text, strict=True)


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("PathTemplate", "Expression", "Text")])
def test_no_sentence_repeats_the_value(name: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        TypeAdapter(getattr(values, name)).validate_python("s3cr3t hunter2\n", strict=True)
    assert "hunter2" not in wrong.value.errors(include_input=False, include_url=False)[0]["msg"].lower()


def test_at_least() -> None:
    time, size = TypeAdapter(Annotated[Duration, at_least("1s")]), TypeAdapter(Annotated[Size, at_least("1KB")])
    assert time.validate_python("1s") == 1.0
    assert size.validate_python("1KB") == 1024
    with pytest.raises(ValidationError, match="must be at least 1s"):
        time.validate_python("999ms")
    with pytest.raises(ValidationError, match="must be at least 1KB"):
        size.validate_python("1B")


def test_one_text_is_a_list_of_one() -> None:
    texts = TypeAdapter(values.Texts)
    assert texts.validate_python("a") == ["a"]
    assert texts.json_schema()["anyOf"][0] == {"type": "string"}
    for wrong in ([], ["a", "a"], [""]):
        with pytest.raises(ValidationError):
            texts.validate_python(wrong)
