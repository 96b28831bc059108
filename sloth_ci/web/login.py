"""Who may use the API: HTTP basic auth, checked in constant time."""

import base64
import binascii
import hashlib
import hmac
import secrets
from threading import Lock
from time import monotonic

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sloth_ci.config import Login
from sloth_ci.errors import LoginRequired
from sloth_ci.request import Request

HASH_PREFIX = "$argon2"
#: How long a checked password hash need not be computed again, in seconds.
REMEMBER = 300.0
#: Logins remembered at most.
MAX_REMEMBERED = 1_000


class LoginCheck:
    """Knows the server's users; with none at all everybody may come in."""

    def __init__(self, logins: tuple[Login, ...]) -> None:
        self._logins = tuple((login.login.encode(), str(login.password)) for login in logins)
        self._hasher = PasswordHasher()
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, float] = {}
        self._lock = Lock()

    def check(self, request: Request) -> None:
        """Raises LoginRequired unless the request carries a right name and password."""
        if self._logins and not self._is_right(request.header("authorization")):
            raise LoginRequired

    def _is_right(self, header: str) -> bool:
        name, password = _read_basic(header)
        digest = hmac.new(self._key, name + b"\0" + password, hashlib.sha256).digest()
        with self._lock:
            if self._known.get(digest, 0) > monotonic():
                return True
        # Every login is compared, the first match notwithstanding: time tells nothing of names.
        matches = [
            hmac.compare_digest(known, name) & self._matches(wanted, password)
            for known, wanted in self._logins
        ]
        if not any(matches):
            return False
        with self._lock:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[digest] = monotonic() + REMEMBER
        return True

    def _matches(self, wanted: str, password: bytes) -> bool:
        if not wanted.startswith(HASH_PREFIX):
            return hmac.compare_digest(wanted.encode(), password)
        try:
            return self._hasher.verify(wanted, password)
        except (VerificationError, InvalidHashError):
            return False


def _read_basic(header: str) -> tuple[bytes, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return b"", b""
    try:
        text = base64.b64decode(encoded.strip().encode("latin-1"), validate=True)
    except (binascii.Error, ValueError):
        return b"", b""
    name, _, password = text.partition(b":")
    return name, password
