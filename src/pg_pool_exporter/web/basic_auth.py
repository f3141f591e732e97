"""HTTP basic authentication against bcrypt hashes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from functools import partial

import bcrypt

from pg_pool_exporter.blocking.threads import Lane

# A check takes one core for some 50 ms. One runs at a time, so guesses take no more than that core;
# a client behind too many of them is better off with a retry.
_MOST_CHECKS = 16
_REMEMBERED = 100


class BusyError(Exception):
    """More passwords are waiting to be checked than can be in a reasonable time."""


class BasicAuth:
    """Checks `Authorization` headers, and remembers those that were right.

    Wrong ones are not remembered, so nobody can crowd out the right ones by guessing.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._lane = Lane("password")
        self._checks = 0

    async def allows(self, header: str | None, users: Mapping[str, str]) -> bool:
        """Whether the header's value names one of `users` (bcrypt hashes) with its password.

        An unknown user takes as long as a wrong password. Whoever is cancelled gives up its place
        among those who wait for their check. Raises `BusyError` when there is no place.
        """
        given = _credentials(header or "")
        if given is None:
            return False
        user, password = given
        known = user in users
        hashed = users[user] if known else next(iter(users.values()))
        digest = self._digest(user, password, hashed)
        # A user who has been taken out of the file may have left the right answer here.
        if known and digest in self._right:
            return True
        right = await self._check(password, hashed)
        if right and known:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add(digest)
        return right and known

    async def _check(self, password: str, hashed: str) -> bool:
        if self._checks >= _MOST_CHECKS:
            raise BusyError
        self._checks += 1
        try:
            return await self._lane.run(partial(_matches, password, hashed))
        finally:
            self._checks -= 1

    def _digest(self, *parts: str) -> bytes:
        digest = hashlib.blake2b(key=self._key)
        for part in parts:
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()


def _credentials(header: str) -> tuple[str, str] | None:
    """User and password of a header's value (RFC 7617)."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon and scheme.lower() == "basic" else None


def _matches(password: str, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except ValueError:
        # Longer than the 72 bytes that bcrypt looks at, or with a zero byte: nobody's password.
        return False
