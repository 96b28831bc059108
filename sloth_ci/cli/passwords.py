"""Passwords typed or piped in, and their hashes."""

import os
import sys
from getpass import getpass

from sloth_ci.errors import SlothError


class NoPassword(SlothError):
    """There is no password: type one, or send one line to stdin."""


class PasswordsDiffer(SlothError):
    """The two passwords are not the same. Nothing was hashed; try again."""


def ask_password() -> str:
    """A new password: typed twice on a terminal, or else the first line of stdin.

    Raises NoPassword or PasswordsDiffer.
    """
    if sys.stdin.isatty():
        password = getpass("Password: ")
        if password and getpass("The same again: ") != password:
            raise PasswordsDiffer
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise NoPassword
    return password


def ask_secret() -> str:
    """The secret of a provider: SLOTH_HOOK_SECRET, or typed on a terminal; '' for none."""
    if "SLOTH_HOOK_SECRET" in os.environ:
        return os.environ["SLOTH_HOOK_SECRET"]
    if sys.stdin.isatty() and sys.stderr.isatty():
        return getpass("The provider's secret (empty: don't sign): ")
    return ""


def hash_password(password: str) -> str:
    """An argon2id hash of the password, with a salt of its own, for `api_auth`."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)
