from __future__ import annotations

import contextlib
import json

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event import Event, Json
from gateway.core.formats import Format, Misread, Unintelligible, json_format, msgpack_format
from gateway.core.messages import Ok, Ping, Publish, Request, Subscribe
from gateway.core.position import Position

JSON = json_format(msgspec.json.encode)
MSGPACK = msgpack_format(msgspec.msgpack.encode)


def packed(value: object) -> bytes:
    data: bytes = msgpack.packb(value)
    return data


def raw_of(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


@pytest.mark.parametrize("form", [JSON, MSGPACK], ids=lambda form: str(form.name))
def test_both_formats_say_the_same(form: object) -> None:
    def read(message: dict[str, object]) -> object:
        return JSON.decode(json.dumps(message)) if form is JSON else MSGPACK.decode(packed(message))

    assert read({"op": "subscribe", "id": 1, "channel": "/a", "since": "e.1", "mode": "items"}) == Subscribe(
        1, "/a", "e.1", "items"
    )
    assert read({"op": "ping"}) == Ping()
    request = read({"op": "request", "id": "x", "path": "/a", "body": {"a": [1]}})
    assert isinstance(request, Request)
    assert isinstance(request.body, msgspec.Raw)
    assert (JSON if form is JSON else MSGPACK).body(request.body)[1]


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ({"op": "sing", "id": 1}, "unknown_op", "'sing'; there are: auth, cancel, ping"),
        ({"op": "subscribe", "id": 1}, "bad_message", "missing required field `channel`"),
        ({"op": "subscribe", "id": 1, "channel": 5}, "bad_message", "expected `str`"),
        ({"op": "subscribe", "id": 1, "channel": "/a", "sinc": "x"}, "bad_message", "unknown field `sinc`"),
        ({"op": "request", "id": 1, "path": "/" * 9000}, "bad_message", "length <= 8192"),
        ({"op": "request", "id": 1, "path": "/", "headers": {"a": 1}}, "bad_message", "expected `str`"),
    ],
)
def test_a_mistake_with_an_id_can_be_answered(message: dict[str, object], code: str, words: str) -> None:
    for decode, data in ((JSON.decode, json.dumps(message).encode()), (MSGPACK.decode, packed(message))):
        with pytest.raises(Misread, match=words) as misread:
            decode(data)
        assert (misread.value.id, misread.value.code) == (1, code)


@pytest.mark.parametrize(
    "data",
    ["", "x", "[]", "1", '{"op":"ping"', '{"op":"ping"} x', '{"id":1}', '{"op":"subscribe"}', '{"op":"ping","id":1.5}',
     '{"op":"ping","id":"%s"}' % ("x" * 65), '{"op":"request","id":1,"path":"/","body":tru}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_message_is_unintelligible(data: str) -> None:
    with pytest.raises(Unintelligible, match=r"^not a message"):
        JSON.decode(data)


@pytest.mark.parametrize(
    "data", ["text", b"", b"\xc1", packed([1]), packed({"op": "ping"}) + b"\x01", b"\x91" * 100_000]
)
def test_what_is_no_message_in_msgpack(data: str | bytes) -> None:
    with pytest.raises(Unintelligible, match=r"^not a message"):
        MSGPACK.decode(data)


@given(st.binary(max_size=64))
def test_nothing_else_is_raised(data: bytes) -> None:
    for decode in (JSON.decode, MSGPACK.decode):
        with contextlib.suppress(Misread, Unintelligible):
            decode(data)


@given(st.binary(max_size=64))
def test_binary_bodies_come_back_whole(data: bytes) -> None:
    wrapped = JSON.answer(data, False)
    assert JSON.body(wrapped) == (data, False)
    packed_answer = MSGPACK.answer(data, False)
    assert MSGPACK.body(packed_answer) == (data, False)


def test_json_bodies_pass_as_they_came() -> None:
    text = b'{"a":  1.0, "b": "\\u00e9"}'
    assert bytes(JSON.answer(text, True)) == text
    assert JSON.body(msgspec.Raw(text)) == (text, True)
    assert msgpack.unpackb(bytes(MSGPACK.answer(text, True))) == {"a": 1.0, "b": "é"}
    assert MSGPACK.body(msgspec.Raw(packed({"a": "é"}))) == ('{"a":"é"}'.encode(), True)


@pytest.mark.parametrize("body", [b"{", b'"\xff"', b"nan", b'{"base64":"AA=="}', b'\n {"base64":"A"}', b"[" * 100_000])
def test_an_answer_that_would_break_the_message_is_wrapped(body: bytes) -> None:
    wrapped = json.loads(bytes(JSON.answer(body, True)))
    assert wrapped.keys() == {"base64"}
    assert JSON.body(JSON.answer(body, True)) == (body, False)


@pytest.mark.parametrize("form", [JSON, MSGPACK], ids=lambda form: str(form.name))
def test_headers_are_written_once_for_all_who_ask(form: Format) -> None:
    headers, called_json = form.headers([(b"Content-Type", b"application/json"), (b"A", b"1"), (b"a", b"\xe9")])
    read = msgspec.msgpack.decode if form.binary else msgspec.json.decode
    assert read(headers) == {"content-type": "application/json", "a": ["1", "é"]}
    assert called_json


def test_mistakes_in_bodies() -> None:
    with pytest.raises(ValueError, match="base64"):
        JSON.body(raw_of('{"base64":"?"}'))
    with pytest.raises(ValueError, match="base64"):
        JSON.body(raw_of('{"base64":5}'))
    assert JSON.body(raw_of('{"base64":"?","more":1}')) == (b'{"base64":"?","more":1}', True)
    for value in ({"a": b"\x00"}, float("nan"), msgpack.Timestamp(1)):
        with pytest.raises(ValueError, match="JSON does not"):
            MSGPACK.body(msgspec.Raw(packed(value)))


def test_data_is_json_of_bounded_depth() -> None:
    deep = "[" * 200 + "]" * 200
    assert JSON.data(raw_of('{"a":1}')) == MSGPACK.data(msgspec.Raw(packed({"a": 1}))) == {"a": 1}
    with pytest.raises(ValueError, match="deeply"):
        JSON.data(raw_of(deep))
    with pytest.raises(ValueError, match="deeply"):
        MSGPACK.data(msgspec.Raw(b"\x91" * 200 + b"\x01"))
    published = JSON.decode('{"op":"publish","id":1,"channel":"a","data":null}')
    assert isinstance(published, Publish)
    assert JSON.data(published.data) is None


def test_an_event_is_a_whole_message() -> None:
    event = Event(type="patch", data=[1], position=Position("e", 4))
    expected: Json = {"op": "event", "channel": '/a?"', "event": {"id": "e.4", "type": "patch", "data": [1]}}
    assert json.loads(JSON.event('/a?"')(event)) == expected
    assert msgpack.unpackb(MSGPACK.event('/a?"')(event)) == expected
    assert json.loads(JSON.encode(Ok(1))) == msgpack.unpackb(MSGPACK.encode(Ok(1))) == {"op": "ok", "id": 1}
