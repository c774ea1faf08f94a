"""Every installed broker is held to its contract."""

from __future__ import annotations

import pytest

from gateway.testing.broker import BrokerContract
from tests.plugin.installed import names

TESTS = [name for name in dir(BrokerContract) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("broker", names("brokers"))
def test_contract(broker: str, test: str) -> None:
    contract = BrokerContract()
    contract.name = broker
    getattr(contract, test)()
