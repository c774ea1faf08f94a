from __future__ import annotations

from typing import Any, cast, get_args

import msgspec
import pytest

from gateway.commands.asyncapi_messages import (
    BY_MODE,
    EVERY,
    FROM_CLIENT,
    FROM_SERVER,
    OF_MESSAGES,
    POSTED,
    messages,
)
from gateway.core.event import EventType
from gateway.core.messages import (
    Auth,
    Cancel,
    Error,
    Expiring,
    Hello,
    Ok,
    Ping,
    Pong,
    Publish,
    Request,
    Response,
    Subscribe,
    Unsubscribe,
)
from gateway.core.settings import Mode

CLIENT = (Subscribe, Unsubscribe, Request, Cancel, Publish, Auth, Ping)
SERVER = (Hello, Ok, Response, Error, Expiring, Pong)


def payload(name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", cast("dict[str, Any]", messages()[name])["payload"])


def test_every_mode_and_every_type_of_event_is_told() -> None:
    assert set(BY_MODE) == set(get_args(Mode))
    streamed = {kind for kinds in BY_MODE.values() for kind in kinds} | set(EVERY)
    assert streamed | set(OF_MESSAGES) == set(get_args(EventType))
    assert set(messages()) == {*get_args(EventType), *FROM_CLIENT, *FROM_SERVER, *POSTED}


@pytest.mark.parametrize("kind", get_args(EventType))
def test_events_have_their_type_and_those_of_the_log_an_id(kind: str) -> None:
    schema = payload(kind)
    assert schema["properties"]["type"] == {"const": kind}
    assert ("id" in schema["required"]) is (kind not in EVERY)
    assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize("message", [*CLIENT, *SERVER])
def test_messages_of_sessions_are_as_they_are_read_and_written(message: type[msgspec.Struct]) -> None:
    info = msgspec.inspect.type_info(message)
    assert isinstance(info, msgspec.inspect.StructType)
    schema = payload(str(info.tag))
    assert set(schema["properties"]) == {"op", *(field.name for field in info.fields)}
    assert set(schema["required"]) - {"op"} <= {field.name for field in info.fields}
    if message in CLIENT:
        assert {field.name for field in info.fields if field.required} == set(schema["required"]) - {"op"}


def test_no_operation_is_forgotten() -> None:
    assert {str(cast("Any", msgspec.inspect.type_info(one)).tag) for one in CLIENT} == set(FROM_CLIENT)
    assert {str(cast("Any", msgspec.inspect.type_info(one)).tag) for one in SERVER} | {"event"} == set(FROM_SERVER)
