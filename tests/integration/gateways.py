"""`tidegate serve` as a process, and what it shows of itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.processes import Process, come, eventually

HEAD = """\
listen: [{listen}]
admin: {{listen: "127.0.0.1:0"}}
access_log: {access}
"""


@dataclass(slots=True)
class Gateway:
    """A gateway that listens. `url` is its first listener's."""

    process: Process
    url: str
    admin: str
    access: Path

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1)

    def metrics(self) -> dict[str, float]:
        """Samples by name, summed over their labels."""
        sums: dict[str, float] = {}
        for name, _, value in self.samples():
            sums[name] = sums.get(name, 0.0) + value
        return sums

    def samples(self) -> list[tuple[str, dict[str, str], float]]:
        families = text_string_to_metric_families(self.exposition())
        return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    def exposition(self) -> str:
        return httpx.get(f"{self.admin}/metrics", trust_env=False).text

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024

    def log(self) -> list[dict[str, Any]]:
        """The access log so far; its lines may be a quarter of a second late."""
        return [json.loads(line) for line in self.access.read_text().splitlines()] if self.access.exists() else []

    def logged(self, **fields: object) -> dict[str, Any]:
        """Wait for the line of the access log that has these fields."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.log() if fields.items() <= line.items()]
            return bool(found)

        eventually(look, f"a line with {fields} in the access log")
        return found[0]

    async def idle(self) -> None:
        """Wait until no client is connected, but for the one that asks."""
        await come(lambda: self.metrics()["tidegate_connections"] <= 1, "the last client is gone")


def write_config(folder: Path, config: str, listen: str = '"127.0.0.1:0"') -> Path:
    """A configuration file of these upstreams and routes, on free ports."""
    path = folder / "tidegate.yaml"
    path.write_text(HEAD.format(listen=listen, access=folder / "access.log") + config)
    return path


def serve(
    folder: Path,
    config: str,
    listen: str = '"127.0.0.1:0"',
    environ: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Gateway:
    """Start a gateway; whoever calls ends it."""
    path = write_config(folder, config, listen)
    process = Process([sys.executable, "-P", "-m", "gateway", "serve", str(path), *options], environ, cwd=str(folder))
    try:
        url = process.line(r"^listening (\S+)")[1]
        admin = process.line(r"^admin +(\S+)")[1]
        process.line(r"^route ")
    except BaseException:
        process.kill()
        raise
    return Gateway(process, url, admin, folder / "access.log")
