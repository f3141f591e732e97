"""HTTP basic authentication against bcrypt hashes."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping

import aiohttp
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
        try:
            given = aiohttp.BasicAuth.decode(header or "", encoding="utf-8")
        except ValueError:
            return False
        known = given.login in users
        hashed = users[given.login] if known else next(iter(users.values()))
        digest = self._digest(given.login, given.password, hashed)
        if digest in self._right:
            return True
        async with self._turn:
            right = await asyncio.to_thread(_matches, given.password, hashed)
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


def _matches(password: str, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except ValueError:
        # Longer than the 72 bytes that bcrypt looks at, or with a zero byte: nobody's password.
        return False
