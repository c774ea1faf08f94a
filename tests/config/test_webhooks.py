"""From a webhook's keys to its settings; mistakes are golden files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.core.settings import Challenge, Dedupe, Publication, WebhookSettings
from gateway.errors import ConfigError

CONFIG = """
upstreams: {shop: {url: "http://a"}}
routes:
  - path: /hooks
    webhook: %s
  - path: /live
    session: {subscribe: [%s]}
  - {path: "/api/orders/{id}", upstream: shop, live: {poll: }}
"""


def loaded(tmp_path: Path, webhook: str, patterns: str = '"orders.*"') -> WebhookSettings:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG % (webhook, patterns))
    (route, *_) = load(str(file), {"SECRET": "a-secret-of-mine"}).routes
    assert route.webhook is not None
    assert route.upstream == ""
    return route.webhook


def test_all_of_it(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '{verify: {github: {secret: "${SECRET}"}}, when: body.a, max_body: 2MB, timeout: 5s,'
        ' publish: [{channel: "orders.${body.id}", dotted: true}],'
        ' refresh: ["/api/orders/${body.id}"], dedupe: "${header.X-GitHub-Delivery}",'
        ' challenge: {param: hub.challenge, where: {hub.verify_token: "${SECRET}", hub.mode: subscribe}}}',
    )
    assert settings.verify is not None
    assert settings.verify.name == "github"
    assert "a-secret-of-mine" not in repr(settings)
    assert settings == WebhookSettings(
        verify=settings.verify,
        when="body.a",
        publish=(Publication(channel="orders.${body.id}", dotted=True),),
        refresh=("/api/orders/${body.id}",),
        dedupe=Dedupe(id="${header.X-GitHub-Delivery}"),
        challenge=Challenge(
            param="hub.challenge", where=(("hub.mode", "subscribe"), ("hub.verify_token", "a-secret-of-mine"))
        ),
        max_body=2 * 1024**2,
        timeout=5.0,
    )


def test_anybody_is_believed_only_where_it_is_said(tmp_path: Path) -> None:
    assert loaded(tmp_path, '{verify: none, refresh: ["/api/orders/1"]}').verify is None
    with pytest.raises(ConfigError, match="or none to believe anybody"):
        loaded(tmp_path, '{refresh: ["/api/orders/1"]}')


@pytest.mark.parametrize(
    ("channel", "patterns", "reached"),
    [
        ("orders.${body.id}", '"*"', True),
        ("orders.${body.id}", '"orders.7"', True),
        ("orders.new", '"orders.*"', True),
        ("${body.a}.b", '"orders.*"', True),
        ("orders.${body.id}", '"users.*"', False),
        ("orders.${body.id}", '"/api/**"', False),
        ("orders.${body.id}", "", False),
    ],
)
def test_somebody_may_follow_each_channel(tmp_path: Path, channel: str, patterns: str, reached: bool) -> None:
    webhook = f'{{verify: none, publish: [{{channel: "{channel}"}}]}}'
    if reached:
        assert loaded(tmp_path, webhook, patterns).publish[0].channel == channel
    else:
        with pytest.raises(ConfigError, match="no session and no route of channels lets anybody follow it"):
            loaded(tmp_path, webhook, patterns)
