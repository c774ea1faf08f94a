"""Whatever a client sends, the mistake is the client's: no answer is a 500, and the shop goes on."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FORMS = (
    ("id", "name", "size", "colour", "price", "stock"),
    ("shirt_id", "quantity"),
    ("status",),
    ("user", "password"),
)
PATHS = ("/api/shirts", "/api/shirts/1", "/api/orders", "/api/orders/1", "/login", "/logout", "/api/token", "/")
KINDS = ("application/json", "application/x-www-form-urlencoded", "", "multipart/form-data")

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 8),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(("M", "open", "paid", "ada", "lovelace", "\ud800", "\x00")),
    st.lists(st.integers(), max_size=3),
)
JSON = (
    st.sampled_from(FORMS)
    .flatmap(lambda fields: st.dictionaries(st.sampled_from(fields), VALUES))
    .map(lambda form: json.dumps(form).encode())
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
HEADERS = st.fixed_dictionaries(
    {"Content-Type": st.sampled_from(KINDS)},
    optional={"If-Match": TEXT, "If-None-Match": TEXT, "Authorization": TEXT | st.just("ada"), "Cookie": TEXT},
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")),
    url=st.builds("{}?size={}".format, st.sampled_from(PATHS), st.binary(max_size=20).map(quote)),
    headers=HEADERS,
    body=JSON | st.binary(max_size=50),
)
async def test_no_mistake_of_a_client_is_the_shops(
    client: httpx2.AsyncClient, ada: dict[str, str], method: str, url: str, headers: dict[str, str], body: bytes
) -> None:
    if headers.get("Authorization") == "ada":
        headers |= ada
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await client.request(method, url, content=body, headers=raw)
    assert answer.status_code < 500
    assert (await client.get("/api/shirts")).status_code == 200
