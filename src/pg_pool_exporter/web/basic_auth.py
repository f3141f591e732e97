"""HTTP basic authentication against bcrypt hashes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping
from functools import partial

import bcrypt

from pg_pool_exporter.blocking.threads import Lane

# A check takes one core for some 50 ms. One runs at a time, so guesses take no more than that core;
# a client behind too many of them should retry.
_MAX_WAITING = 16
_MAX_WAITING_OF_CLIENT = 2
_REMEMBERED = 100
# Salt and digest of a hash that no password is known for.
_NOBODY = "." * 53


class BusyError(Exception):
    """Too many passwords wait for their check."""


class BasicAuth:
    """Checks `Authorization` headers and remembers the right ones.

    Not the wrong ones: guesses must not push out the right ones.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._lane = Lane("password")
        self._waiting: Counter[str] = Counter()

    async def allows(self, header: str | None, users: Mapping[str, str], client: str) -> bool:
        """Whether the header's value names one of `users` (bcrypt hashes) with its password.

        A wrong password takes the same time for every user, known or not. Raises `BusyError` while
        too many passwords wait, over all or from this client's address. Cancelling frees the place.
        """
        credentials = _credentials(header or "")
        if credentials is None:
            return False
        user, password = credentials
        hashed = users.get(user)
        if hashed is not None and self._digest(user, password, hashed) in self._right:
            return True
        right = await self._check(password, hashed, max(map(_cost, users.values())), client)
        if right and hashed is not None:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            # The digest includes the hash: after a change of the password the old one is wrong.
            self._right.add(self._digest(user, password, hashed))
        return right

    async def _check(self, password: str, hashed: str | None, cost: int, client: str) -> bool:
        if self._waiting.total() >= _MAX_WAITING or self._waiting[client] >= _MAX_WAITING_OF_CLIENT:
            raise BusyError
        self._waiting[client] += 1
        try:
            return await self._lane.run(partial(_matches, password, hashed, cost))
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

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


def _cost(hashed: str) -> int:
    return int(hashed[4:6])


def _matches(password: str, hashed: str | None, cost: int) -> bool:
    """Whether the password fits the hash. If not, the check took the time of a hash of `cost`."""
    encoded = password.encode()
    try:
        if hashed is not None and bcrypt.checkpw(encoded, hashed.encode()):
            return True
        # One more in cost is twice the time: so 2^c + 2^c + 2^(c+1) + … is 2^cost.
        missing = [cost] if hashed is None else range(_cost(hashed), cost)
        for one in missing:
            bcrypt.checkpw(encoded, f"$2b${one:02}${_NOBODY}".encode())
    except ValueError:
        pass  # longer than the 72 bytes that bcrypt looks at, or with a zero byte
    return False
