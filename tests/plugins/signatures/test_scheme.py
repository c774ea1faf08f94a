"""The check that all schemes share: what is signed, rotation, time; and that nothing else passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import ClientError, Delivery
from gateway_plugins.signatures.scheme import MOST_SIGNATURES, Algorithm, Scheme, Stamp, check, parse_payload
from tests.plugins.signatures.signed import BODY, NOW, delivery, mac, mac64

OLD, NEW = b"old-secret", b"new-secret"
TIMED = Scheme(
    header=b"x-signature",
    prefix=b"v1=",
    separator=b",",
    payload=parse_payload("{timestamp}.{body}"),
    stamp=Stamp(prefix=b"t="),
)
BARE = Scheme(header=b"x-signature", payload=parse_payload("{body}"))


def timed(secret: bytes, at: float = NOW, body: bytes = BODY) -> str:
    return f"v1={mac(secret, f'{at:.0f}.'.encode() + body)}"


def code(scheme: Scheme, one: Delivery, *secrets: bytes, now: float = NOW) -> str | int:
    """The index of the secret, or what is wrong."""
    try:
        return check(scheme, one, secrets, now=now, tolerance=300)
    except ClientError as error:
        return error.code


def test_either_secret_and_either_signature_while_they_change() -> None:
    both = f"t={NOW},{timed(OLD)},{timed(NEW)}"
    for header, secrets, wanted in (
        (both, (NEW,), 0),
        (both, (OLD,), 0),
        (both, (b"another-", NEW), 1),
        (f"t={NOW},{timed(OLD)}", (NEW, OLD), 1),
        (f"t={NOW}, {timed(NEW)}", (NEW, OLD), 0),
        (f"t={NOW},v0=x,{timed(NEW)}", (OLD,), "bad_signature"),
        (both, (), "bad_signature"),
    ):
        assert code(TIMED, delivery({"X-Signature": header}), *secrets) == wanted


@pytest.mark.parametrize(
    ("off", "wanted"), [(0, 0), (300, 0), (-300, 0), (301, "stale"), (-301, "stale"), (-90_000, "stale")]
)
def test_time_is_bounded_both_ways(off: int, wanted: int | str) -> None:
    at = NOW + off
    assert code(TIMED, delivery({"X-Signature": f"t={at},{timed(NEW, at)}"}), NEW) == wanted


def test_only_who_knows_a_secret_is_told_of_clocks() -> None:
    assert code(TIMED, delivery({"X-Signature": f"t=1,{timed(NEW)}"}), NEW) == "bad_signature"


@pytest.mark.parametrize("stamp", ["", "t=", "t=-1", "t=1e9", "t=+5", "t= 5", "t=" + "9" * 16, "t=٣", "T=5"])
def test_what_is_no_time_is_refused(stamp: str) -> None:
    assert code(TIMED, delivery({"X-Signature": f"{stamp},{timed(NEW)}"}), NEW) == "unsigned"


def test_milliseconds_and_a_header_of_its_own() -> None:
    scheme = replace(TIMED, separator=b"", stamp=Stamp(header=b"x-time", per_second=1000))
    at = NOW * 1000 + 299_000
    one = delivery({"X-Signature": timed(NEW, at), "X-Time": str(at)})
    assert code(scheme, one, NEW) == 0
    assert code(scheme, one, NEW, now=NOW - 2) == "stale"
    assert code(scheme, delivery({"X-Signature": timed(NEW, at)}), NEW) == "unsigned"


def test_more_signatures_than_anybody_sends_are_not_compared() -> None:
    junk = ["v1=00"] * MOST_SIGNATURES
    assert code(TIMED, delivery({"X-Signature": ",".join([f"t={NOW}", *junk[1:], timed(NEW)])}), NEW) == 0
    assert code(TIMED, delivery({"X-Signature": ",".join([f"t={NOW}", *junk, "v1=00", timed(NEW)])}), NEW) != 0


def test_what_is_signed_is_told_by_the_payload() -> None:
    scheme = replace(BARE, payload=parse_payload("{method} {target}\n{header:X-Id}:{body}!"))
    signed = b"POST /hooks/a?b=c\n12:" + BODY + b"!"
    assert code(scheme, delivery({"X-Signature": mac(NEW, signed), "x-id": "12"}), NEW) == 0
    assert code(scheme, delivery({"X-Signature": mac(NEW, signed), "x-id": "13"}), NEW) == "bad_signature"
    assert code(scheme, delivery({"X-Signature": mac(NEW, signed)}), NEW) == "unsigned"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has to be signed"),
        ("{timestamp}", "has to be signed"),
        ("{Body}", "expected {body}"),
        ("{body}{header:}", "expected {body}"),
        ("{body}{header:a b}", "expected {body}"),
        ("{body}{", "without its"),
        ("}{body}", "without its"),
        ("{{body}}", "without its"),
    ],
)
def test_payloads_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_payload(text)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_algorithms_and_upper_case(algorithm: Algorithm) -> None:
    scheme = replace(BARE, algorithm=algorithm)
    signature = mac(NEW, BODY, algorithm)
    assert code(scheme, delivery({"X-Signature": signature}), NEW) == 0
    assert code(scheme, delivery({"X-Signature": signature.upper()}), NEW) == 0
    assert code(scheme, delivery({"X-Signature": signature[:-2]}), NEW) == "bad_signature"


def test_base64_is_compared_as_it_is_written() -> None:
    """Its last letter before the = has bits that nobody reads: four texts would pass for one signature."""
    scheme = replace(BARE, encoding="base64")
    signature = mac64(NEW, BODY)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    passed = [
        letter for letter in letters if code(scheme, delivery({"X-Signature": f"{signature[:-2]}{letter}="}), NEW) == 0
    ]
    assert passed == [signature[-2]]
    assert code(scheme, delivery({"X-Signature": signature.rstrip("=")}), NEW) == "bad_signature"


@given(
    body=st.binary(min_size=1), data=st.data(), scheme=st.sampled_from([BARE, replace(BARE, encoding="base64"), TIMED])
)
def test_any_flipped_bit_is_refused(body: bytes, data: st.DataObject, scheme: Scheme) -> None:
    secret = data.draw(st.binary(min_size=1, max_size=80))
    header = {
        b"": mac(secret, body) if scheme.encoding == "hex" else mac64(secret, body),
        b"v1=": f"t={NOW},{timed(secret, NOW, body)}",
    }[scheme.prefix].encode()
    parts = [bytearray(secret), bytearray(header), bytearray(body)]
    assert _verdict(scheme, parts) == 0
    part = data.draw(st.integers(0, 2))
    index = data.draw(st.integers(0, len(parts[part]) - 1))
    parts[part][index] ^= 1 << data.draw(st.integers(0, 7))
    if part == 1 and scheme.encoding == "hex" and bytes(parts[1]).lower() == header:
        return  # hexadecimal digits have no case
    assert _verdict(scheme, parts) != 0


def _verdict(scheme: Scheme, parts: list[bytearray]) -> str | int:
    secret, header, body = map(bytes, parts)
    headers = ((b"x-signature", header),)
    return code(scheme, Delivery(method="POST", target=b"/", headers=headers, body=body), secret)
