from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.channel_keys import ChannelKeys


def test_a_name_alone_stands_for_a_channel() -> None:
    keys = ChannelKeys.model_validate("orders.${params.id}")
    assert keys == ChannelKeys(name="orders.${params.id}")
    assert (keys.dotted, keys.publish, keys.origins) == (False, False, [])


@pytest.mark.parametrize(
    "wrong", [{}, {"name": "/a"}, {"name": "a.*"}, {"name": "${body.x}"}, {"name": "a", "log": {}}, ""], ids=str
)
def test_mistakes(wrong: object) -> None:
    with pytest.raises(ValidationError):
        ChannelKeys.model_validate(wrong)
