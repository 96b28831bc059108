"""Who may use the API: HTTP basic auth, checked in constant time, and not too often."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from threading import BoundedSemaphore, Lock
from time import monotonic

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sloth_ci.config import Login
from sloth_ci.errors import LoginRequired, Unavailable
from sloth_ci.request import Request
from sloth_ci.web.tries import Tries

HASH_PREFIX = "$argon2"
#: Seconds after its last use that a right login need not be checked again.
REMEMBER = 300.0
#: Logins remembered at most, right ones and wrong ones.
MAX_REMEMBERED = 10_000
#: Requests that wait for the check of their logins at most; the other threads have better to do.
MAX_CHECKS = 12


class LoginCheck:
    """Knows the server's users; with none at all everybody may come in.

    Hashes take long, by design: only one is computed at a time, and none for a login whose
    verdict is known. The same wrong login again tells a guesser nothing and is not counted.
    """

    def __init__(
        self, logins: tuple[Login, ...], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._logins = tuple((login.login.encode(), str(login.password)) for login in logins)
        self._hasher = PasswordHasher()
        self._decoy = _make_decoy([password for _name, password in self._logins])
        self._key = secrets.token_bytes(32)
        self._tries = Tries(clock)
        self._right = _Memory(clock, REMEMBER)
        self._wrong = _Memory(clock, float("inf"))
        self._checks = BoundedSemaphore(MAX_CHECKS)
        self._checking = Lock()

    def check(self, request: Request) -> str:
        """The name of the user who sends the request, '' when there are no users.

        Raises LoginRequired unless it carries a right name and password, TooManyTries for an
        address that guessed too often, whatever it sends now, and Unavailable when too many
        logins are being checked.
        """
        known = self.check_known(request)
        if known is not None:
            return known
        name, password = _read_basic(request.header("authorization"))
        self._check_slowly(request.address, self._digest(name, password), name, password)
        return name.decode()

    def check_known(self, request: Request) -> str | None:
        """As `check`, but None for a login that is not remembered, and takes time to be checked."""
        if not self._logins:
            return ""
        name, password = _read_basic(request.header("authorization"))
        if not name or not password:
            raise LoginRequired
        self._tries.check(request.address)
        return name.decode() if self._is_known(self._digest(name, password)) else None

    def _digest(self, name: bytes, password: bytes) -> bytes:
        return hmac.digest(self._key, name + b"\0" + password, hashlib.sha256)

    def _check_slowly(self, address: str, digest: bytes, name: bytes, password: bytes) -> None:
        if not self._checks.acquire(blocking=False):
            raise Unavailable(reason="too many logins are being checked")
        try:
            with self._checking:
                self._evaluate(address, digest, name, password)
        finally:
            self._checks.release()

    def _is_known(self, digest: bytes) -> bool:
        if digest in self._wrong:
            raise LoginRequired
        return digest in self._right

    def _evaluate(self, address: str, digest: bytes, name: bytes, password: bytes) -> None:
        # Others were evaluated while this one waited: the same login, or this address's last try.
        if self._is_known(digest):
            return
        self._tries.check(address)
        if self._is_right(name, password):
            self._right.add(digest)
            return
        self._wrong.add(digest)
        self._tries.count(address)
        raise LoginRequired

    def _is_right(self, name: bytes, password: bytes) -> bool:
        """Compare with every login; as many hashes are computed for a name that nobody has."""
        right, hashed = False, False
        for known, wanted in self._logins:
            is_meant = hmac.compare_digest(known, name)
            if not wanted.startswith(HASH_PREFIX):
                right |= hmac.compare_digest(wanted.encode(), password) & is_meant
            elif is_meant:
                hashed = True
                right |= self._fits(wanted, password)
        if self._decoy and not hashed:
            self._fits(self._decoy, password)
        return right

    def _fits(self, wanted: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(wanted, password)
        except (VerificationError, InvalidHashError):
            return False


class _Memory:
    """Digests that were seen not long ago."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()

    def add(self, digest: bytes) -> None:
        with self._lock:
            self._seen[digest] = self._clock()
            self._seen.move_to_end(digest)
            if len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)

    def __contains__(self, digest: bytes) -> bool:
        with self._lock:
            seen = self._seen.get(digest)
            if seen is None or self._clock() - seen > self._seconds:
                return False
            self._seen[digest] = self._clock()
            self._seen.move_to_end(digest)
            return True


def _make_decoy(passwords: list[str]) -> str:
    """A hash as costly as the users' that no password has; '' when no password is hashed."""
    hashed = next((one for one in passwords if one.startswith(HASH_PREFIX)), "")
    salted, _, digest = hashed.rpartition("$")
    # Of as many whole bytes: a digest that can't be decoded is refused without computing anything.
    other = base64.b64encode(secrets.token_bytes(len(digest) * 3 // 4)).decode().rstrip("=")
    return f"{salted}${other}" if hashed else ""


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
