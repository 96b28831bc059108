"""Whom actions run as: another user of the system, if the server is root."""

import os
import pwd
from dataclasses import dataclass

from sloth_ci.builds import Limits

#: What another user's build makes is its own affair: it may be a secret, and publishing is a word.
UMASK = 0o077


class NotRunnable(Exception):
    """Builds can't run here as the config wants; the text goes behind the name of its `key`."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(f"'{key}' {sentence}")
        self.key = key


@dataclass(frozen=True, slots=True)
class Account:
    """One user of the system."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def environment(self) -> dict[str, str]:
        """What tells programs who they are."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}


def find_account(name: str) -> Account:
    """The user of that name.

    Raises NotRunnable when there is none, or when this process may not become another user.
    """
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise NotRunnable("user", f"names '{name}', and the system has no such user") from error
    if not is_root():
        raise NotRunnable(
            "user",
            f"wants builds to run as '{name}': only root can change to another user, and the"
            " server is not root; start it as root, or leave 'user' out",
        )
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    return Account(found.pw_name, found.pw_uid, found.pw_gid, groups, found.pw_dir)


def check_runnable(*, user: str | None, limits: Limits) -> None:
    """Raises NotRunnable when no build could run here as that user within those limits."""
    account = find_account(user) if user is not None else None
    uid = os.geteuid() if account is None else account.uid
    if limits.processes is not None and uid == 0:
        raise NotRunnable(
            "limits.processes",
            "can't hold: builds of this app run as root, whose processes the kernel does not"
            " limit; let them run as somebody else ('user')",
        )


def is_root() -> bool:
    """Whether this process may do anything, and so what it runs as itself."""
    return os.geteuid() == 0
