from __future__ import annotations

import sqlite3

import pytest

from gateway.demo.accounts import LIFETIME, TOKENS_PER_USER, Accounts, fits, hash_password


@pytest.fixture
def accounts(db: sqlite3.Connection) -> Accounts:
    return Accounts(db)


def test_the_right_password_fits_and_no_other(accounts: Accounts) -> None:
    assert fits("lovelace", accounts.secret("ada"))
    assert not fits("Lovelace", accounts.secret("ada"))
    assert not fits("", accounts.secret("nobody"))


def test_users_with_one_password_have_different_hashes(accounts: Accounts) -> None:
    accounts.add("mary", "lovelace")
    assert accounts.secret("mary")[1] != accounts.secret("ada")[1]
    assert hash_password("x", b"salt") == hash_password("x", b"salt")


def test_a_token_names_its_user_until_it_expires(accounts: Accounts) -> None:
    token = accounts.open("ada", 1000.0)
    assert accounts.user(token, 1000.0 + LIFETIME - 1) == "ada"
    assert accounts.user(token, 1000.0 + LIFETIME) is None
    assert accounts.user(token[:-1], 1000.0) is None
    assert accounts.user("", 1000.0) is None
    assert accounts.user("\udcff", 1000.0) is None


def test_a_closed_token_is_nobodys(accounts: Accounts) -> None:
    token, other = accounts.open("ada", 0.0), accounts.open("ada", 0.0)
    accounts.close(token)
    accounts.close("never was one")
    assert accounts.user(token, 1.0) is None
    assert accounts.user(other, 1.0) == "ada"


def test_tokens_are_not_stored_themselves(accounts: Accounts, db: sqlite3.Connection) -> None:
    token = accounts.open("ada", 0.0)
    assert token.encode() not in b"".join(bytes(row["hash"]) for row in db.execute("SELECT * FROM sessions"))


def test_old_tokens_make_room(accounts: Accounts, db: sqlite3.Connection) -> None:
    first = accounts.open("ada", 0.0)
    kept = accounts.open("grace", 0.0)
    tokens = [accounts.open("ada", 1.0 + number) for number in range(TOKENS_PER_USER)]
    assert accounts.user(first, 200.0) is None
    assert all(accounts.user(token, 200.0) == "ada" for token in tokens)
    assert accounts.user(kept, 200.0) == "grace"
    accounts.open("grace", 2 * LIFETIME)
    assert db.execute("SELECT count(*) FROM sessions").fetchone()[0] == 1
