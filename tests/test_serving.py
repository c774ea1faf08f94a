"""`tidegate serve` in this process: its start-up lines, and its end by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

from gateway.config import load
from gateway.core.route import parse_template
from gateway.core.settings import ChannelSettings, Gateway, PluginUse, Route, WebhookSettings
from gateway.serving import describe, run
from tests.test_app import CONFIG


def settings_of(folder: Path) -> Gateway:
    file = folder / "gateway.yaml"
    file.write_text(CONFIG)
    return load(str(file), {})


async def test_run_says_what_it_listens_on_and_stops_on_a_signal(tmp_path: Path) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("route     files.example"):
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

    await run(settings_of(tmp_path), say)
    assert lines[0].startswith("listening http://127.0.0.1:")
    assert lines[1].startswith("admin     http://127.0.0.1:")
    assert lines[2:] == [
        "route     /.tidegate/client.js -> tidegate.js",
        "route     /.tidegate/ticket -> ticket",
        "route     /plain (GET,HEAD) -> shop",
        "route     /live (any method) -> shop, live by poll",
        "route     /shared (GET,HEAD) -> shop, live by poll",
        "route     files.example/files/** (any method) -> shop",
    ]
    assert len(asyncio.all_tasks()) == 1


def test_describe(tmp_path: Path) -> None:
    assert describe(settings_of(tmp_path).routes[0]) == "/plain (GET,HEAD) -> shop"
    hook = Route(
        name="a", path=parse_template("/hook"), webhook=WebhookSettings(verify=PluginUse(name="slack", options=None))
    )
    assert describe(hook) == "/hook -> webhooks, by slack"
    assert describe(replace(hook, webhook=WebhookSettings(verify=None))) == "/hook -> webhooks, not verified"
    channel = replace(hook, webhook=None, host="a", channel=ChannelSettings(name="a.${params.id}"))
    assert describe(channel) == "a/hook (any method) -> messages of a.${params.id}"
    assert describe(replace(channel, channel=ChannelSettings(name="b", publish=True))).endswith("of b, publish")
