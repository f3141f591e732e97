"""HTTP basic authentication against bcrypt hashes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping

import bcrypt

# A check takes a core for some hundredths of a second: guesses must not take them all.
_CONCURRENT_CHECKS = 1
_REMEMBERED = 100


class BasicAuth:
    """Checks `Authorization` headers, and remembers those that were right.

    Wrong ones are not remembered, so nobody can crowd out the right ones by guessing.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._turn = asyncio.Semaphore(_CONCURRENT_CHECKS)

    async def allows(self, header: str | None, users: Mapping[str, str]) -> bool:
        """Whether the header's value names one of `users` (bcrypt hashes) with its password.

        An unknown user takes as long as a wrong password.
        """
        given = _credentials(header or "")
        if given is None:
            return False
        user, password = given
        known = user in users
        hashed = users[user] if known else next(iter(users.values()))
        digest = self._digest(user, password, hashed)
        if digest in self._right:
            return True
        async with self._turn:
            right = await asyncio.to_thread(_matches, password, hashed)
        if right and known:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right.add(digest)
        return right and known

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
