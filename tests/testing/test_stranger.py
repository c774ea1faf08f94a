"""A plugin that is not ours: built as a wheel, installed, found, configured, and held to the same contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.testing.stranger import MODULE, PROJECT, TESTS

CONFIG = """\
transports: {records: %s}
upstreams: {shop: {url: "http://127.0.0.1:1"}}
routes:
  - {path: /, upstream: shop, live: {poll: {}}}
"""


def run(folder: Path, *command: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command of this Python, in `folder`, with what is installed in `path` as well."""
    environ: Mapping[str, str] = os.environ if path is None else {**os.environ, "PYTHONPATH": str(path)}
    done = [sys.executable, *command]
    return subprocess.run(done, cwd=folder, env=environ, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stranger is installed, apart from our own environment; no package index is asked."""
    tree, site = tmp_path_factory.mktemp("stranger"), tmp_path_factory.mktemp("site")
    (tree / "pyproject.toml").write_text(PROJECT)
    (tree / "tidegate_records.py").write_text(MODULE)
    pip = ("-m", "pip", "--disable-pip-version-check", "--no-input")
    built = run(tree, *pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist", ".")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    put = run(tree, *pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    assert put.returncode == 0, put.stderr
    return site


def test_it_is_found_and_its_options_are_checked(installed: Path, tmp_path: Path) -> None:
    listed = run(tmp_path, "-m", "gateway", "plugins", path=installed).stdout
    assert "records" in listed
    assert "tidegate-records 1.2.3" in listed
    file = tmp_path / "gateway.yaml"
    for options, mistake in (
        ("{heartbeats: false}", ""),
        ("off", ""),
        ("{heartbeat: no}", "did you mean 'heartbeats'?"),
    ):
        file.write_text(CONFIG % options)
        checked = run(tmp_path, "-m", "gateway", "check", str(file), path=installed)
        assert (checked.returncode, mistake in checked.stdout + checked.stderr) == (1 if mistake else 0, True)


def test_it_keeps_the_contract(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "test_records.py"
    file.write_text(TESTS)
    tested = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file), path=installed)
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
