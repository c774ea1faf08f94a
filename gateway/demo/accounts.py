"""Who may log in, and who is logged in: scrypt password hashes and expiring tokens, kept as hashes.

A token is the same thing in a cookie and in an Authorization header. Times come in as arguments.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

# The demonstration's own accounts: they protect nothing and are printed in its documentation.
USERS = {"ada": "lovelace", "grace": "hopper"}

LIFETIME = 12 * 3600.0
TOKENS_PER_USER = 100  # the oldest is forgotten: a client that logs in on each request must not fill the disk


def hash_password(password: str, salt: bytes) -> bytes:
    """Takes some 50 ms of processor time on purpose: call it outside the event loop."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


class Accounts:
    """Users and their tokens in the shop's database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, name: str, password: str) -> None:
        salt = secrets.token_bytes(16)
        with self._db:
            self._db.execute("INSERT INTO users VALUES (?, ?, ?)", (name, salt, hash_password(password, salt)))

    def secret(self, name: str) -> tuple[bytes, bytes]:
        """Salt and hash of a user; an unknown name has some that no password fits, and takes as long."""
        row = self._db.execute("SELECT salt, hash FROM users WHERE name = ?", (name,)).fetchone()
        return (row["salt"], row["hash"]) if row else (bytes(16), b"")

    def open(self, name: str, now: float) -> str:
        """A new token for a user."""
        token = secrets.token_urlsafe(32)
        with self._db as db:
            db.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_key(token), name, now + LIFETIME))
            db.execute(
                "DELETE FROM sessions WHERE user = ?1 AND hash NOT IN"
                " (SELECT hash FROM sessions WHERE user = ?1 ORDER BY expires DESC LIMIT ?2)",
                (name, TOKENS_PER_USER),
            )
        return token

    def user(self, token: str, now: float) -> str | None:
        """Whose token it is, if it is one and has not expired."""
        row = self._db.execute(
            "SELECT user FROM sessions WHERE hash = ? AND expires > ?", (_key(token), now)
        ).fetchone()
        return str(row["user"]) if row else None

    def close(self, token: str) -> None:
        with self._db:
            self._db.execute("DELETE FROM sessions WHERE hash = ?", (_key(token),))


def fits(password: str, secret: tuple[bytes, bytes]) -> bool:
    """Whether the password has this salt and hash; slow, as `hash_password`."""
    salt, expected = secret
    return hmac.compare_digest(hash_password(password, salt), expected)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
