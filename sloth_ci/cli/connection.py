"""Which server is meant, and who asks: from options, environment, config and prompt."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sloth_ci.cli.arguments import WrongUsage
from sloth_ci.client import Client
from sloth_ci.errors import ConfigUnreadable, LoginRequired, SlothError
from sloth_ci.render import printable
from sloth_ci.source import SourceProblem, read

#: Looked for in this order when no file is named.
DEFAULT_FILES = ("server.yml", "sloth.yml")
DEFAULT_DATABASE = "sloth.db"
_EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not listened on
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HASH_PREFIX = "$argon2"


class NoDatabase(SlothError):
    """The server of {file} has no database ('paths: db: null'), so there is no state to keep."""


@dataclass(frozen=True, slots=True)
class Options:
    """What stands in the command line for all commands alike; '' where nothing does."""

    config: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client needs of the server's config; the server checks the whole of it."""

    file: Path
    url: str
    login: str = ""
    #: None when it can't be known from here, as with a hash.
    password: str | None = field(default="", repr=False)
    #: The name that the server wants to be called by, when it has a list of them.
    host: str = ""
    #: The server's own certificate, a file; '' when it speaks plain HTTP.
    certificate: str = ""
    daemon: bool = False


def connect(options: Options) -> Client:
    """The client for the server that is meant.

    Asks for a login on a terminal when the server wants one and none is known.
    Raises WrongUsage, ConfigUnreadable or BadUrl.
    """
    url = options.url or os.environ.get("SLOTH_URL", "")
    settings = _find_settings(options, url)
    login, password = _find_login(settings)
    if url:
        meet = partial(Client, url, ca_file=os.environ.get("SLOTH_CA", ""))
    else:
        assert settings is not None
        certificate = settings.certificate
        meet = partial(Client, settings.url, host=settings.host, certificate=certificate)
    client = meet(login, password or "")
    if not _can_ask() or (client.has_login and password is not None):
        return client
    return _log_in(client, meet, login=login)


def find_config(options: Options) -> Path:
    """The server's config file.

    Raises WrongUsage when there is none.
    """
    if options.config:
        if not Path(options.config).is_file():
            raise WrongUsage(f"there is no config file '{options.config}'")
        return Path(options.config).absolute()
    for name in DEFAULT_FILES:
        if Path(name).is_file():
            return Path(name).absolute()
    raise WrongUsage(
        "there is no server.yml or sloth.yml in this folder: name the config with -c FILE,"
        " the server with --url URL, or write a config with 'sci init'"
    )


def read_settings(file: Path) -> Settings:
    """What a client needs of the config in that file.

    Raises ConfigUnreadable.
    """
    data = _read_mapping(file)
    host = str(data.get("host") or "127.0.0.1")
    shown = "127.0.0.1" if host in _EVERY_ADDRESS else host
    shown = f"[{shown}]" if ":" in shown else shown
    login, password = _read_login(data, file)
    tls = data.get("tls")
    named = tls.get("certificate") if isinstance(tls, dict) else None
    certificate = str(file.parent / Path(str(named)).expanduser()) if named else ""
    hosts = data.get("hosts") or []
    hosts = [hosts] if isinstance(hosts, str) else hosts
    return Settings(
        file=file,
        url=f"{'https' if certificate else 'http'}://{shown}:{data.get('port') or 8080}",
        login=login,
        password=password,
        host="" if not hosts or shown in hosts else str(hosts[0]),
        certificate=certificate,
        daemon=str(data.get("daemon")).lower() in ("true", "yes", "on"),
    )


def read_database(file: Path) -> Path:
    """Where the config in that file has the server's database.

    Raises ConfigUnreadable, or NoDatabase when it is switched off.
    """
    paths = _read_mapping(file).get("paths") or {}
    name = paths.get("db", DEFAULT_DATABASE) if isinstance(paths, dict) else DEFAULT_DATABASE
    if name is None:
        raise NoDatabase(file=file)
    return file.parent / Path(str(name)).expanduser()


def _find_settings(options: Options, url: str) -> Settings | None:
    if not url or options.config:
        return read_settings(find_config(options))
    try:
        settings = read_settings(find_config(options))
    except (WrongUsage, ConfigUnreadable):
        return None
    # The folder's config speaks for its own server; its password is nobody else's business.
    return settings if _place(url) == _place(settings.url) else None


def _find_login(settings: Settings | None) -> tuple[str, str | None]:
    login, password = (settings.login, settings.password) if settings else ("", "")
    if os.environ.get("SLOTH_LOGIN"):
        login, password = os.environ["SLOTH_LOGIN"], None
    return login, os.environ.get("SLOTH_PASSWORD", password)


def _place(url: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(url)
        host = "127.0.0.1" if parts.hostname in _LOOPBACK else parts.hostname or ""
        return host, parts.port
    except ValueError:
        return None


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _log_in(client: Client, meet: Callable[..., Client], *, login: str) -> Client:
    """The same client with a login from the terminal, if the server wants one."""
    if not login:
        try:
            client.call("version")
        except LoginRequired:
            print(printable(f"Login for {client.url}: "), end="", file=sys.stderr, flush=True)
            login = sys.stdin.readline().strip()
        else:
            return client
    return meet(login, getpass(printable(f"Password of {login}: ")))


def _read_mapping(file: Path) -> dict[str, Any]:
    try:
        data = read(file.read_text(encoding="utf-8")).data
    except SourceProblem as problem:
        where = f"{problem.place}: " if problem.place else ""
        raise ConfigUnreadable(file=file.name, reason=f"{where}{problem.problem}") from problem
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigUnreadable(file=file.name, reason=reason) from error
    if isinstance(data, dict):
        return data
    raise ConfigUnreadable(file=file.name, reason="a config is a mapping of keys to values")


def _read_login(data: dict[str, Any], file: Path) -> tuple[str, str | None]:
    logins = data.get("api_auth") or data.get("auth") or []
    first = (logins[0] if logins else None) if isinstance(logins, list) else logins
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("login") or ""), _read_password(first.get("password"), file)


def _read_password(value: Any, file: Path) -> str | None:
    match value:
        case {"env": str(name)}:
            value = os.environ.get(name)
        case {"file": str(name)}:
            path = file.parent / Path(name).expanduser()
            try:
                value = path.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, ValueError):
                return None
    return value if isinstance(value, str) and not value.startswith(_HASH_PREFIX) else None
