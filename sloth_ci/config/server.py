"""The config of the server."""

from os import cpu_count
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainValidator, PrivateAttr

from sloth_ci.config.extensions import Extensions, FindOptions, check_extensions, find_secrets
from sloth_ci.config.fields import (
    Filled,
    Flag,
    Networks,
    OptionalPath,
    PathText,
    PathTexts,
    Seconds,
    SecretText,
    Section,
    Size,
    Texts,
    optional,
    read_filled,
    whole_number,
)
from sloth_ci.config.parsing import Check, read_document
from sloth_ci.config.wording import came, kind_of
from sloth_ci.errors import ConfigUnreadable
from sloth_ci.source import MAX_SIZE

ALIASES = {"auth": "api_auth"}
#: Looked for in this order when no file is named.
DEFAULT_FILES = ("server.yml", "sloth.yml")


def read_login(value: Any) -> str:
    """A user's name; HTTP basic auth ends it at the first colon."""
    name = read_filled(value)
    if ":" in name:
        raise ValueError(f"must be a name without ':', not {came(name)}")
    return name


def list_logins(value: Any) -> list[Any]:
    """One user, or a list of them."""
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise ValueError(
            "must be a mapping with 'login' and 'password', or a list of them,"
            f" not {kind_of(value)}"
        )
    return items


def read_url(value: Any) -> str:
    """The address of a server, without a slash at the end."""
    text = read_filled(value)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must be an address such as https://ci.example.com, not {came(text)}")
    return text.rstrip("/")


def read_days(value: Any) -> float:
    """A number of days above 0."""
    try:
        days = float(value)
    except (TypeError, ValueError):
        days = -1
    if not 0 < days <= 100_000:
        raise ValueError(f"must be a number of days above 0, not {came(value)}")
    return days


class Login(Section):
    """One user of the API; the password in plain or as an argon2 hash."""

    login: Annotated[str, PlainValidator(read_login)]
    password: SecretText


class Paths(Section):
    """Where the server keeps its files; relative to the config file."""

    db: OptionalPath = "sloth.db"
    access_log: OptionalPath = "sloth_access.log"
    error_log: OptionalPath = "sloth_error.log"
    #: Globs of app config files, read at the start.
    configs: PathTexts = ()


class Tls(Section):
    """What HTTPS needs, each a file in PEM form."""

    #: With those between it and the authority behind it.
    certificate: PathText
    key: PathText


class Keep(Section):
    """How long builds, their logs and the deliveries are kept: the limit reached first counts."""

    #: Builds that did not complete are kept four times as long.
    days: Annotated[float, PlainValidator(read_days)] = 90.0
    #: Of each app: so many complete ones, and so many others.
    builds: Annotated[int, PlainValidator(whole_number(1, 1_000_000))] = 1_000
    #: Bytes of the database.
    size: Size = 2_000_000_000


class ServerConfig(Section):
    """What the server is made of."""

    host: Filled = "127.0.0.1"
    port: Annotated[int, PlainValidator(whole_number(0, 65_535))] = 8080
    api_auth: Annotated[tuple[Login, ...], BeforeValidator(list_logins)] = ()
    #: Without it, plain HTTP.
    tls: Tls | None = None
    paths: Paths = Field(default_factory=Paths)
    daemon: Flag = False
    extensions: Extensions = Field(default_factory=dict)
    #: The server's address as others reach it.
    url: Annotated[str | None, PlainValidator(optional(read_url))] = None
    #: Host names the server answers to; all when there are none.
    hosts: Texts = ()
    #: Proxies whose X-Forwarded-For is believed.
    trusted_proxies: Networks = ()
    #: Seconds a running build gets when the server stops.
    stop_grace: Seconds = 30
    #: Builds running at the same time, over all apps.
    max_builds: Annotated[int, PlainValidator(whole_number(1, 10_000))] = 2 * (cpu_count() or 1)
    #: Builds waiting, of one app and of all.
    max_queue: Annotated[int, PlainValidator(whole_number(1, 10_000_000))] = 10_000
    max_queue_total: Annotated[int, PlainValidator(whole_number(1, 10_000_000))] = 100_000
    #: Bytes of a delivery's body, and of an API request's.
    max_delivery: Size = 25_000_000
    max_request: Size = 1_000_000
    keep: Keep = Field(default_factory=Keep)
    #: Connections at the same time, of all clients and of one.
    max_connections: Annotated[int, PlainValidator(whole_number(1, 1_000_000))] = 1_000
    max_connections_per_address: Annotated[int, PlainValidator(whole_number(1, 1_000_000))] = 256
    #: Live answers at the same time.
    max_followers: Annotated[int, PlainValidator(whole_number(0, 100_000))] = 200
    #: Whether everybody may ask for the server's health, without login.
    open_health: Flag = False

    _base_dir: Path = PrivateAttr(default_factory=Path)

    def model_post_init(self, context: Any) -> None:
        """Remember where relative paths count from."""
        self._base_dir = (context or {}).get("base_dir", Path())

    @property
    def secrets(self) -> tuple[str, ...]:
        """The users' passwords, and the secrets of extensions."""
        return tuple(find_secrets((self.api_auth, self.extensions)))

    @property
    def base_dir(self) -> Path:
        """The folder of the config file; relative paths count from here."""
        return self._base_dir

    def path(self, name: str) -> Path:
        """A path of the config, made absolute."""
        return self.base_dir / Path(name).expanduser()


def parse_server(
    text: str,
    *,
    base_dir: Path,
    find_extension: FindOptions | None = None,
    file: str | None = None,
) -> ServerConfig:
    """Check a server's config text.

    `find_extension` gives the options of extensions, which stay unchecked without it.
    Raises ConfigInvalid, which names every problem with its line and column.
    """
    document = read_document(text, file=file, aliases=ALIASES)
    check = Check(document, base_dir=base_dir, file=file)
    value = dict(document.data)
    if find_extension is not None and "extensions" in value:
        value["extensions"] = check_extensions(check, value["extensions"], find_extension)
    return check.finish(check.section(ServerConfig, value))


def load_server(file: Path, *, find_extension: FindOptions | None = None) -> ServerConfig:
    """The config in that file; of extensions as in `parse_server`.

    Raises ConfigUnreadable or ConfigInvalid.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigUnreadable(file=str(file), reason=reason) from error
    return parse_server(
        text, base_dir=file.resolve().parent, find_extension=find_extension, file=file.name
    )
