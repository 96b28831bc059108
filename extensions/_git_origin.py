"""Where git fetches from: what it is told about that, and what it is kept from."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._git_names import Address

_SETTINGS = (
    # What an earlier build left in the repository runs nothing when the next one is prepared.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    # Git's housekeeping in the background would be ended with the command that began it.
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
    "protocol.version=2",
    "submodule.recurse=false",
)
#: Answers git's question for a login (gitcredentials(7)); its values are in the environment.
_HELPER = (
    '!f() { [ "$1" != get ] || printf "username=%s\\npassword=%s\\n" '
    '"$SLOTH_GIT_LOGIN" "$SLOTH_GIT_PASSWORD"; }; f'
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to fetch from, and how to get in."""

    address: Address
    #: Allowed beside the address's own, for submodules.
    protocols: Sequence[str]
    login: str | None
    password: str | None
    key: Path | None
    known_hosts: Path | None

    @property
    def settings(self) -> tuple[str, ...]:
        """For `git -c`."""
        if self.password is None:
            return _SETTINGS
        # For this site alone, so that a submodule of another one is not handed the password.
        return (*_SETTINGS, f"credential.{self.address.site}.helper={_HELPER}")

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """What git finds beside the app's own `env`."""
        found = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "SSH_ASKPASS": "false",
            "GCM_INTERACTIVE": "never",
            "GIT_ALLOW_PROTOCOL": ":".join(dict.fromkeys((self.address.protocol, *self.protocols))),
        }
        if "GIT_SSH_COMMAND" not in env:
            found["GIT_SSH_COMMAND"] = self._ssh_command
        if self.password is not None:
            found |= {"SLOTH_GIT_LOGIN": self.login or "git", "SLOTH_GIT_PASSWORD": self.password}
        return found

    @property
    def _ssh_command(self) -> str:
        words = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
        if self.key:
            words += ["-i", str(self.key), "-o", "IdentitiesOnly=yes"]
        if self.known_hosts:
            words += ["-o", f"UserKnownHostsFile={self.known_hosts}"]
            words += ["-o", "StrictHostKeyChecking=yes"]
        return shlex.join(words)
