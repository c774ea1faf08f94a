"""A running gateway's file, read again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from gateway.config import Rereading
from gateway.core.plan import plan
from gateway.errors import ConfigError

CONFIG = """\
listen: ["127.0.0.1:0"]
limits:
  connections: 5
include: more.yaml
upstreams:
  shop: {url: "https://shop", tls: {ca: ca.pem}}
routes:
  - {path: /a, upstream: shop}
"""
MORE = """\
auth:
  staff: {jwt: {secret: "${file:secret}", algorithms: [HS256], audience: a, issuer: b}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "tidegate.yaml").write_text(CONFIG)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "more.yaml").write_text(MORE)
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef")
    return tmp_path / "tidegate.yaml"


def test_the_same_file_is_the_same_configuration(file: Path) -> None:
    reread = Rereading(str(file), {})
    running = reread.first()
    again = reread(running)
    assert again == running
    assert not plan(running, again)
    names = {Path(name).name for _, name in reread.files.found}
    assert names == {"tidegate.yaml", "more.yaml", "secret", "ca.pem"}


def test_other_contents_of_its_files_are_another_configuration(file: Path) -> None:
    reread = Rereading(str(file), {})
    running = reread.first()
    trustme.CA().cert_pem.write_to_path(str(file.parent / "ca.pem"))
    (file.parent / "secret").write_text("1123456789abcdef0123456789abcdef")
    found = plan(running, reread(running))
    assert (found.upstreams.changed, found.auth.changed, found.routes.changed) == (("shop",), ("staff",), ("/a",))


def test_what_takes_a_restart_is_a_mistake_at_its_place(file: Path) -> None:
    reread = Rereading(str(file), {})
    running = reread.first()
    file.write_text(CONFIG.replace("connections: 5", "connections: 6").replace("127.0.0.1:0", "127.0.0.1:1"))
    with pytest.raises(ConfigError) as found:
        reread(running)
    restart = "cannot be changed while the gateway runs: restart it, or put back what was here"
    assert str(found.value).splitlines() == [
        f"{file}:1:1: listen: {restart}",
        f"{file}:3:3: limits.connections: {restart}",
    ]


def test_every_mistake_is_told(file: Path) -> None:
    reread = Rereading(str(file), {})
    running = reread.first()
    file.write_text("routes: [{path: a, upstream: b}]\nnonsense: 1\n")
    with pytest.raises(ConfigError) as found:
        reread(running)
    assert len(found.value.problems) >= 3
    file.write_text(CONFIG)
    assert reread(running) == running
