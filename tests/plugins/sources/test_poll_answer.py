from __future__ import annotations

import gzip
import tracemalloc
import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import Answer, Context, Header, Json, Refused
from gateway.testing.clock import ManualClock
from gateway_plugins.codecs.json import JsonOptions, plugin
from gateway_plugins.sources.poll_answer import Failed, Reading, Validators, is_heavy, judge, read, validators_of
from gateway_plugins.sources.poll_formats import formats
from gateway_plugins.sources.poll_hints import USUAL

JSON = formats(plugin.make(JsonOptions(), Context(clock=ManualClock())).decode)["json"]
NOW = 1_700_000_000.0
MOST = 10_000


def answer(status: int = 200, body: bytes = b"[1]", **headers: str) -> Answer:
    pairs = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Answer(status=status, headers=pairs, body=body)


def judged(answer: Answer, *, conditional: bool = True, has_state: bool = True) -> bool:
    return judge(answer, conditional=conditional, has_state=has_state, now=NOW)


def document(answer: Answer, most: int = MOST) -> Json:
    return read(answer, None, most, JSON).document


def failure(answer: Answer, most: int = MOST) -> str:
    with pytest.raises(Failed) as caught:
        read(answer, None, most, JSON)
    assert "SECRET" not in caught.value.reason
    return caught.value.reason.removeprefix("the backend's answer is not usable: ")


def test_what_brings_a_state() -> None:
    assert judged(answer(200))
    assert not judged(answer(304))


@pytest.mark.parametrize(
    ("status", "has_state"), [(401, False), (401, True), (403, False), (403, True), (404, False), (410, False)]
)
def test_what_is_refused(status: int, has_state: bool) -> None:
    with pytest.raises(Refused) as caught:
        judged(answer(status), has_state=has_state)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [201, 204, 300, 400, 404, 410, 418, 429, 500, 502, 503, 599, 999])
def test_what_fails(status: int) -> None:
    with pytest.raises(Failed) as caught:
        judged(answer(status, body=b"SECRET", retry_after="7"))
    assert caught.value.status == status
    assert caught.value.reason.startswith(f"the backend answered {status}")
    assert caught.value.retry_after == (7.0 if status in (429, 503) else None)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry_After": "60"}, 60.0),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "30"}, 30.0),
        ({"X_RateLimit_Remaining": "1", "X_RateLimit_Reset": "30"}, None),
        ({"X_RateLimit_Limit": "60"}, None),
    ],
)
def test_a_403_with_a_pause_is_about_the_rate(headers: dict[str, str], wait: float | None) -> None:
    """GitHub's way. With anything left it is a refusal, whatever of that polls may use."""
    rates = USUAL._replace(share=0.5, kept=10)
    with pytest.raises(Failed if wait is not None else Refused) as caught:
        judge(answer(403, b"", **headers), conditional=True, has_state=True, now=NOW, rates=rates)
    if isinstance(caught.value, Failed):
        assert (caught.value.retry_after, caught.value.is_budget, caught.value.is_refusal) == (wait, True, False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with pytest.raises(Failed, match=f"answered {status}: redirects are not followed"):
        judged(answer(status, location="http://evil.example/"))


def test_a_304_that_nobody_asked_for() -> None:
    with pytest.raises(Failed, match="304 to a poll without conditions"):
        judged(answer(304), conditional=False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0), ("soon", None), ("", None), ("-1", None)],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    with pytest.raises(Failed) as caught:
        judged(answer(503, Retry_After=value))
    assert caught.value.retry_after == seconds


def test_validators_as_they_came() -> None:
    headers: tuple[Header, ...] = ((b"ETAG", b'W/"a, b"'), (b"Last-Modified", b"yesterday"), (b"etag", b'"second"'))
    assert validators_of(headers) == Validators(b'W/"a, b"', b"yesterday")
    assert validators_of(headers).strongest == b'W/"a, b"'
    assert validators_of(headers[1:2]).strongest == b"yesterday"


@pytest.mark.parametrize("value", [b"", b"x" * 1025])
def test_validators_of_no_sane_length(value: bytes) -> None:
    assert validators_of(((b"etag", value), (b"last-modified", value))) == Validators()
    assert Validators().conditions() == []
    assert Validators().strongest is None


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/problem+json", "text/json", "", " ; a=b"],
)
def test_json_by_its_type(content_type: str) -> None:
    assert document(answer(Content_Type=content_type)) == [1]
    assert document(answer()) == [1]


@pytest.mark.parametrize("content_type", ["text/html", "application/json-seq", "json", "text/plain; a=/json"])
def test_not_json_by_its_type(content_type: str) -> None:
    assert failure(answer(content_type=content_type)) == "it is not JSON"


def test_a_byte_order_mark_is_taken_off() -> None:
    assert document(answer(body=b"\xef\xbb\xbf[1]")) == [1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"SECRET":', "not JSON: "),
        (b"", "not JSON: "),
        (b"\xef\xbb\xbf", "not JSON: "),
        (b"<html>SECRET", "not JSON: "),
        (b"[NaN]", "not JSON: "),
        (b'"\xff"', "JSON is not UTF-8"),
        (b"[" * 100_000, "JSON is nested too deeply"),
    ],
)
def test_bad_json(body: bytes, reason: str) -> None:
    assert failure(answer(body=body)).startswith(reason)


def test_a_body_that_is_known_is_not_parsed() -> None:
    def never(data: bytes) -> Json:
        raise AssertionError("parsed")

    digest = sha256(b"[1]").digest()
    assert read(answer(), digest, MOST, formats(never)["json"]) == Reading(digest=digest, document=None, fresh=False)
    compressed = answer(body=gzip.compress(b"[1]", mtime=0), content_encoding="gzip")
    assert not read(compressed, digest, MOST, formats(never)["json"]).fresh
    assert read(answer(body=b"[1] "), digest, MOST, JSON).fresh


def deflate(body: bytes, window: int = zlib.MAX_WBITS, level: int = 6) -> bytes:
    packer = zlib.compressobj(level, wbits=window)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("identity", b"[1]"),
        ("gzip", gzip.compress(b"[1]", mtime=0)),
        (" X-GZIP ", gzip.compress(b"[1]", mtime=0)),
        ("deflate", deflate(b"[1]")),
        ("deflate", deflate(b"[1]", level=9)),
        ("deflate", deflate(b"[1]", -zlib.MAX_WBITS)),
    ],
)
def test_content_codings_that_come_unasked(coding: str, body: bytes) -> None:
    assert document(answer(body=body, content_encoding=coding)) == [1]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "SECRET"])
def test_content_codings_that_are_unknown(coding: str) -> None:
    assert failure(answer(content_encoding=coding)) == "its content coding was not asked for"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_decompression_bomb_is_not_unpacked(coding: str) -> None:
    pack = gzip.compress if coding == "gzip" else deflate
    bomb = answer(body=pack(b" " * 10_000_000), content_encoding=coding)
    tracemalloc.start()
    assert failure(bomb) == "it has more than 10000 bytes"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert document(answer(body=pack(b"[1]" + b" " * (MOST - 3)), content_encoding=coding)) == [1]
    assert failure(answer(body=pack(b"[1]" + b" " * (MOST - 2)), content_encoding=coding)).startswith("it has more")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(data=st.data())
def test_every_broken_compressed_body_fails(coding: str, data: st.DataObject) -> None:
    whole = (gzip.compress if coding == "gzip" else deflate)(b'["a text", "another text", "a text"]')
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert failure(answer(body=whole[:cut], content_encoding=coding))
    assert "goes on" in failure(answer(body=whole + b"x", content_encoding=coding))
    noise = data.draw(st.binary(max_size=30))
    assert failure(answer(body=b"\xff" + noise, content_encoding=coding))


def test_what_is_heavy() -> None:
    assert not is_heavy(answer(), 3)
    assert is_heavy(answer(), 2)
    assert is_heavy(answer(content_encoding="gzip"), 3)
    assert not is_heavy(answer(content_encoding="identity"), 3)


@pytest.mark.parametrize(("second", "kept"), [("09", False), ("10", False), ("11", False), ("08", True), ("00", True)])
def test_a_state_that_was_just_modified_has_no_date_for_a_validator(second: str, kept: bool) -> None:
    modified = f"Tue, 14 Nov 2023 22:13:{second} GMT".encode()
    date = (b"Date", b"Tue, 14 Nov 2023 22:13:10 GMT")
    found = validators_of((date, (b"Last-Modified", modified), (b"ETag", b"a")))
    assert found == Validators(b"a", modified if kept else None)
    assert validators_of(((b"Last-Modified", modified),)) == Validators(None, modified), "nothing to compare with"
    assert validators_of((date, (b"Last-Modified", b"yesterday"))) == Validators(None, b"yesterday")


def test_a_body_that_shrinks_too_well_is_not_believed() -> None:
    body = gzip.compress(b" " * 4_000_000)
    with pytest.raises(Failed, match="compressed to less than a part in 200"):
        read(answer(body=body, content_encoding="gzip"), None, 10_000_000, JSON)
