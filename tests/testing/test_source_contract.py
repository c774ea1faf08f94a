"""A contract is worth what it refuses: sources that are nearly right."""

from __future__ import annotations

import asyncio

import pytest

from gateway.plugin import AnySource, Context, Json, Options, Plugin, Publisher, Request, Share, Target
from gateway.testing.source import turn
from gateway.testing.source_contract import SourceContract
from gateway.testing.stage import Stage


class Pushed:
    """Told by the test what to publish, with one fault."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self.document: Json = None
        self.changed = asyncio.Event()

    def share(self, request: Request) -> Share:
        token = request.header(b"authorization") or b""
        key = token if self._fault == "secret" else b"%d" % hash(token)
        return Share(key=key, headers=[(b"authorization", token)])

    async def follow(self, target: Target, publish: Publisher) -> None:
        while True:
            if self.document is not None and not (self._fault == "one channel" and b"2" in target.target):
                await publish.state([] if self._fault == "forgetful" and publish.has_state else self.document)
            await self.changed.wait()


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("secret", "test_equal_requests_share_and_credentials_are_not_in_the_key"),
        ("forgetful", "test_subscribers_are_told_the_state_and_its_changes"),
        ("one channel", "test_channels_do_not_share_what_it_knows"),
    ],
)
def test_a_fault_is_found(fault: str, test: str) -> None:
    getattr(contract("none"), test)()
    with pytest.raises(AssertionError):
        getattr(contract(fault), test)()


def contract(fault: str) -> SourceContract:
    class Contract(SourceContract):
        name = "pushed"

        def plugin(self) -> Plugin[Options, AnySource]:
            def make(options: Options, context: Context) -> AnySource:
                self.source = Pushed(fault)
                return self.source

            return Plugin(Options, make)

        async def show(self, stage: Stage, document: Json) -> None:
            self.source.document = document
            self.source.changed.set()
            self.source.changed = asyncio.Event()
            await turn()

    return Contract()
