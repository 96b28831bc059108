"""What comes from outside and is handed to git: addresses and refs, made sure of before."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: Protocols that carry a repository; any other, `ext::` first of all, may run commands.
PROTOCOLS = ("https", "ssh", "http", "git", "file")

_SCHEMED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)/.*", re.DOTALL)
_HELPED = re.compile(r"[A-Za-z0-9+.-]+::", re.DOTALL)
_SCP_LIKE = re.compile(r"(?:[^@:/\s]+@)?(\[[0-9A-Fa-f:.]+\]|[^@:/\s]+):(?!//).+", re.DOTALL)
_PASSWORD = re.compile(r"(?<=//)[^/@]*@")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_WHOLE_COMMITS = (40, 64)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: What git-check-ref-format(1) forbids anywhere in a name, and at a part's start and end.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[./-]|[./]$|\.lock(?:/|$)|^@$")


class BadRef(ValueError):
    """A ref that must not reach git; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a repository is."""

    url: str
    protocol: str

    @property
    def shown(self) -> str:
        """Without the login that may stand in it."""
        return _PASSWORD.sub("***@", self.url)

    @property
    def plain(self) -> str:
        """As it may be kept in a file."""
        return _PASSWORD.sub("", self.url) if self.protocol in ("http", "https") else self.url

    @property
    def site(self) -> str:
        """Scheme, host and port: what a login is good for, and nobody else gets it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to check out; exactly one of the two is set."""

    #: Hexadecimal digits, all of them or the first few.
    commit: str = ""
    #: What to ask the other side for: `refs/heads/main`, `refs/tags/v1`, a name, `HEAD`.
    ref: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is a commit's whole name, so that it can be fetched by it."""
        return len(self.commit) in _WHOLE_COMMITS

    @property
    def shown(self) -> str:
        """For the log."""
        return self.commit or self.ref


def read_address(value: Any) -> Address:
    """An address of git: https://…, ssh://…, user@host:path, or a folder of this machine."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be an address such as https://example.com/team/web.git")
    if value.startswith("-") or any(ord(letter) < ord(" ") for letter in value):
        raise ValueError("must be an address; it begins with '-' or has control characters")
    if _HELPED.match(value):
        raise ValueError("must be an address of a plain protocol; '…::' runs a program")
    if found := _SCHEMED.fullmatch(value):
        return Address(value, _check_schemed(found[1].lower(), found[2]))
    if "://" in value:
        raise ValueError("must be an address such as https://example.com/team/web.git")
    if found := _SCP_LIKE.fullmatch(value):
        if found[1].startswith("-"):
            raise ValueError("must be an address whose host does not begin with '-'")
        return Address(value, "ssh")
    return Address(value, "file")


def read_wanted(ref: str | None, params: Mapping[str, str]) -> Wanted:
    """What to check out: what `ref` says, else the params `commit`, `tag` or `branch`, else HEAD.

    Raises BadRef.
    """
    if ref is not None:
        filled = _fill(ref, params)
        return Wanted(commit=filled) if _is_whole_commit(filled) else Wanted(ref=_check(filled))
    if commit := params.get("commit"):
        if not _COMMIT.fullmatch(commit):
            raise BadRef(
                f"The param 'commit' must be a commit's 7 to 64 hexadecimal digits, not {commit!r}."
            )
        return Wanted(commit=commit.lower())
    for param, folder in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if name := params.get(param):
            return Wanted(ref=folder + _check(name))
    return Wanted(ref="HEAD")


def _check_schemed(scheme: str, authority: str) -> str:
    protocol = {"git+ssh": "ssh", "ssh+git": "ssh"}.get(scheme, scheme)
    if protocol not in PROTOCOLS:
        raise ValueError(f"has the protocol '{scheme}'; possible are {', '.join(PROTOCOLS)}")
    if authority.rpartition("@")[2].startswith("-"):
        raise ValueError("must be an address whose host does not begin with '-'")
    return protocol


def _fill(ref: str, params: Mapping[str, str]) -> str:
    missing = next((name for name in _PLACEHOLDER.findall(ref) if name not in params), None)
    if missing is not None:
        raise BadRef(f"Missing param: '{missing}'")
    return _PLACEHOLDER.sub(lambda found: params[found[1]], ref)


def _check(name: str) -> str:
    if not name or _FORBIDDEN.search(name):
        raise BadRef(f"{name!r} can't be the name of a branch or tag (git-check-ref-format).")
    return name


def _is_whole_commit(text: str) -> bool:
    return bool(_COMMIT.fullmatch(text)) and len(text) in _WHOLE_COMMITS
