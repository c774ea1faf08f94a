from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.redact import is_secret, redact_path, redact_query, redact_text

SECRETS = [
    *(
        "token",
        "access_token",
        "accessToken",
        "refresh_token",
        "id_token",
        "csrf_token",
        "oauth_verifier_token",
    ),
    *(
        "ticket",
        "live.ticket",
        "key",
        "api_key",
        "api-key",
        "apikey",
        "AWSAccessKeyId",
        "secret",
        "client_secret",
    ),
    *("password", "passwd", "pwd", "pass", "user[password]", "login[pass]", "code_verifier", "SAMLResponse"),
    *(
        "sig",
        "signature",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "auth",
        "authorization",
    ),
    *("code", "jwt", "session", "session_id", "PHPSESSID", "JSESSIONID", "sid", "TOKEN"),
]
PLAIN = [
    *("q", "page", "limit", "author", "country_code", "sort_key", "ids", "since", "live.since", "keyword"),
    *("monkey", "design", "pinned", "state"),
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_name_is_known_in_every_spelling(name: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in name.encode())
    for spelling in (name, name.upper(), name.lower(), quote(name), encoded):
        query = f"a=1&{spelling}=s3cr3t&z=2".encode()
        assert redact_query(query) == f"a=1&{spelling}=REDACTED&z=2".encode()


@pytest.mark.parametrize("name", PLAIN)
def test_plain_parameters_stay_byte_for_byte(name: str) -> None:
    assert not is_secret(name)
    query = f"{name}=%41+b%zz\xff&{name}&=x&&{name}=".encode("latin-1")
    assert redact_query(query) == query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", b""),
        (b"token", b"token"),
        (b"token=", b"token="),
        (b"token=a=b", b"token=REDACTED"),
        (b"token=a&token=b", b"token=REDACTED&token=REDACTED"),
        (b"a=1;token=b;c=2&d=3", b"a=1;token=REDACTED&d=3"),
        (b"token=;b", b"token=REDACTED"),
        (b"a=1;b=2", b"a=1;b=2"),
        (b"+token+=a", b"+token+=REDACTED"),
        (b"next=/x?token=abc", b"next=REDACTED"),
        (b"next=%2Fx%3Fpage%3D1%26token%3Dabc&b=1", b"next=REDACTED&b=1"),
        (b"next=%252Fx%253Ftoken%253Dabc", b"next=REDACTED"),
        (b"next=%2Fx%3Fpage%3D1", b"next=%2Fx%3Fpage%3D1"),
        (b"a&b&next=/x?token=abc", b"a&b&next=REDACTED"),
        (b"a;key=b&c", b"a;key=REDACTED&c"),
        (b"a;b;key=b&c", b"a;b;key=REDACTED&c"),
        (b"filter=price=3", b"filter=price=3"),
    ],
)
def test_separators_and_nesting(query: bytes, expected: bytes) -> None:
    assert redact_query(query) == expected


names = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(st.tuples(names | st.sampled_from(SECRETS), values), max_size=6))
def test_no_value_of_a_secret_name_survives_and_names_stay(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    out = redact_query(query.encode()).decode()
    read = parse_qsl(out, keep_blank_values=True, errors="strict")
    assert [name for name, _ in read] == [name for name, _ in pairs]
    for (name, before), (_, after) in zip(pairs, read, strict=True):
        if is_secret(name):
            assert after == "REDACTED"
        else:
            assert after in (before, "REDACTED")


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_and_redaction_is_stable(query: bytes) -> None:
    once = redact_query(query)
    assert redact_query(once) == once
    assert redact_path(redact_path(query)) == redact_path(query)


@pytest.mark.parametrize("fill", [b"a", b";", b"=", b"%", b"%3B", b"token", b"&token=", b"?", b"%253D"])
def test_hostile_queries_cost_linear_time(fill: bytes) -> None:
    query = fill * (1_000_000 // len(fill))
    redact_query(query)
    redact_query(b"x=" + query)
    redact_path(query)
    redact_text(query.decode()[:100_000])


def test_matrix_parameters_of_a_path() -> None:
    assert redact_path(b"/shop/a;jsessionid=AB12/b;v=1") == b"/shop/a;jsessionid=REDACTED/b;v=1"
    assert redact_path(b"/a%3Bjsessionid%3DAB12") == b"/a%3Bjsessionid%3DREDACTED"
    assert redact_path(b"/user:pass@host/token=abc") == b"/user:pass@host/token=abc"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connecting to https://u:p@db:1/x failed", "connecting to https://REDACTED@db:1/x failed"),
        ("Authorization: Bearer abc.def", "Authorization: REDACTED"),
        ("got Bearer abc.def, then", "got Bearer REDACTED, then"),
        ("Cookie: a=1; sid=2\nnext", "Cookie: REDACTED\nnext"),
        ("X-Api-Key: abc", "X-Api-Key: REDACTED"),
        ("GET /x?page=1&access_token=abc HTTP", "GET /x?page=1&access_token=REDACTED HTTP"),
        ("{'password': 'abc', 'a': 'b'}", "{'password': 'REDACTED', 'a': 'b'}"),
        ("unknown key: upstreem", "unknown key: upstreem"),
        ("invalid token: expired at 5", "invalid token: expired at 5"),
        ("polled /api/shirts in 0.2 s: status=200", "polled /api/shirts in 0.2 s: status=200"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_names_are_decoded_as_forms_are() -> None:
    assert unquote_plus("access%5Ftoken") == "access_token"
    assert redact_query(b"access%5Ftoken=x") == b"access%5Ftoken=REDACTED"
