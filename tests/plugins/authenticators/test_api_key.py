"""API keys: their file, its mistakes, and what happens when it changes."""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.plugin import Authenticator, ClientError, Context, Request
from gateway.testing.authenticator import AuthenticatorContract, asking
from gateway.testing.clock import ManualClock
from gateway_plugins.authenticators.api_key import ApiKeyOptions, plugin, read_keys

KEY = "acme-key-0123456789"
HASHED = f"sha256:{sha256(b'globex-key-0123456789').hexdigest()}"
FILE = f'# partners\n\nacme  {KEY}  {{"tier": "gold"}}\nglobex {HASHED.upper().replace("SHA256", "sha256")}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(FILE)
    return path


def made(file: Path, clock: ManualClock | None = None, **options: object) -> Authenticator:
    given = ApiKeyOptions.model_validate({"keys_file": str(file), **options})
    return plugin.make(given, Context(clock=clock or ManualClock()))


def showing(key: str, header: bytes = b"x-api-key") -> Request:
    return asking((header, key.encode()))


class TestContract(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self, file: Path) -> Authenticator:
        return made(file)

    @pytest.fixture
    def good(self) -> Request:
        return showing(KEY)

    @pytest.fixture
    def bad(self) -> Request:
        return showing("another-key-0123456789")

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [KEY.encode(), b"another-key"]


async def test_plain_and_hashed_keys_with_their_claims(file: Path) -> None:
    authenticator = made(file, header="X-Partner")
    assert authenticator.challenge == b"ApiKey header=X-Partner"
    acme = await authenticator.authenticate(showing(KEY, b"X-PARTNER"))
    globex = await authenticator.authenticate(showing("globex-key-0123456789", b"x-partner"))
    assert acme is not None
    assert globex is not None
    assert (acme.subject, dict(acme.claims), acme.expires) == ("acme", {"sub": "acme", "tier": "gold"}, None)
    assert (globex.subject, dict(globex.claims)) == ("globex", {"sub": "globex"})
    with pytest.raises(ClientError, match="not known"):
        await authenticator.authenticate(showing(HASHED, b"x-partner"))


def write(file: Path, content: str | bytes | None) -> None:
    """New content in a new file, as `mv` puts it there."""
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)


async def test_the_file_is_read_again_when_it_changes(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    authenticator = made(file, clock)
    write(file, "new new-key-0123456789\n")
    assert await authenticator.authenticate(showing(KEY)) is not None, "it is looked at once a second"
    clock.advance(1)
    assert await authenticator.authenticate(showing("new-key-0123456789")) is not None
    with pytest.raises(ClientError):
        await authenticator.authenticate(showing(KEY))
    assert "1 keys read" in caplog.text


@pytest.mark.parametrize("content", [None, "broken line\n", b"\xff\xfe"])
async def test_a_file_that_went_bad_changes_nothing_and_is_told_once(
    file: Path, content: str | bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    authenticator = made(file, clock)
    write(file, content)
    for _ in range(3):
        clock.advance(1)
        assert await authenticator.authenticate(showing(KEY)) is not None
    assert caplog.text.count("not what they should be") == 1
    write(file, "new new-key-0123456789\n")
    clock.advance(1)
    assert await authenticator.authenticate(showing("new-key-0123456789")) is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("acme", "line 1: expected a name"),
        ("\n\nacme short", "line 3: expected a key of at least 16"),
        ("acme sha256:12345678901234567890", "expected a key of at least 16"),
        (f"acme {KEY} {{tier}}", "line 1: the claims are not a JSON object"),
        (f"acme {KEY} gold", "line 1: expected a name"),
        (f"acme {KEY}\nother {KEY}", "line 2: this key stands here twice"),
    ],
)
def test_mistakes_are_told_by_their_line_and_not_by_the_key(file: Path, content: str, words: str) -> None:
    file.write_text(content)
    (told,) = ApiKeyOptions(keys_file=str(file)).mistakes()
    assert told.startswith("keys_file: ")
    assert words in told
    assert KEY not in told


def test_a_file_that_is_not_there_or_too_large(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(ApiKeyOptions(keys_file="/no/such/file").mistakes()) == [
        "cannot read keys_file: No such file or directory"
    ]
    monkeypatch.setattr("gateway_plugins.authenticators.api_key._MOST_BYTES", 10)
    with pytest.raises(ValueError, match="larger than"):
        read_keys(str(file))


@pytest.mark.parametrize("header", ["", "X Key", "Host", "cookie", "a:b"])
def test_headers_that_cannot_hold_a_key(header: str) -> None:
    with pytest.raises(ValidationError, match="expected the name of a header"):
        ApiKeyOptions.model_validate({"keys_file": "k", "header": header})
