"""Configs: do they load, who may read them, and who may start builds with them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from stat import S_IMODE
from typing import Any

from sloth_ci.bed.config_files import read_config_file
from sloth_ci.bed.equipment import find_options
from sloth_ci.bed.privileges import check_privileges
from sloth_ci.config import (
    AppConfig,
    ServerConfig,
    load_server,
    parse_app,
    read_app_document,
)
from sloth_ci.doctor.findings import Finding, ok, refuse, skip, warn
from sloth_ci.errors import SlothError
from sloth_ci.extension.finding import find_app_options, find_server_options
from sloth_ci.source import SourceProblem, read
from sloth_ci.store import StoredApp
from sloth_ci.validators import ProviderOptions

_HASH_PREFIX = "$argon2"
_BY_OTHERS, _WRITTEN_BY_OTHERS = 0o077, 0o022
#: Apps named in one line.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class ReadApp:
    """An app whose config is good."""

    config: AppConfig
    file: str | None


def check_server(file: Path) -> tuple[ServerConfig | None, list[Finding]]:
    """The server's config, None when it can't be loaded, and every problem in it."""
    try:
        config = load_server(file, find_extension=find_server_options)
    except SlothError as error:
        return None, [refuse("server config", problem) for problem in _problems(file.name, error)]
    return config, [ok("server config", f"{file} loads")]


def check_access(file: Path) -> Iterator[Finding]:
    """Who may read and change the server's config, and the files its passwords are in."""
    try:
        data = read(file.read_text(encoding="utf-8")).data
        mode = S_IMODE(file.stat().st_mode)
    except (OSError, ValueError, SourceProblem):
        yield skip("config access", f"{file} can't be read")
        return
    passwords = list(_passwords(data))
    if mode & _WRITTEN_BY_OTHERS:
        yield refuse(
            "config access",
            f"Others may change {file}, and with it what the server runs: chmod go-w {file}",
        )
    if mode & _BY_OTHERS & 0o044 and any(_is_plain(password) for password in passwords):
        yield warn(
            "config access",
            f"Others may read {file} with a password in plain: chmod 600 {file}, or use"
            " {env: NAME}, {file: path} or a hash (sci hash-password)",
        )
    elif not mode & _WRITTEN_BY_OTHERS:
        yield ok("config access", f"{file} gives nothing away to others")
    for password in passwords:
        if isinstance(password, dict) and isinstance(password.get("file"), str):
            yield from _check_secret_file(file.parent / Path(password["file"]).expanduser())


def check_apps(
    config: ServerConfig, stored: tuple[StoredApp, ...] | None
) -> tuple[list[ReadApp], list[Finding]]:
    """The apps of config files and of the database whose configs are good, and what is not good.

    `stored` is None when the database can't tell.
    """
    files, found = _match_files(config)
    apps: list[ReadApp] = []
    for name in files:
        try:
            text = read_config_file(name)
            apps.append(ReadApp(_parse(text, Path(name).parent), name))
            found += _check_app_file(Path(name), text)
        except SlothError as error:
            found += (refuse("app configs", problem) for problem in _problems(name, error))
    found += _find_twins(apps)
    known = {app.config.listen_point for app in apps}
    for one in stored or ():
        if one.listen_point in known or one.config_file in files:
            continue
        try:
            apps.append(ReadApp(_parse(_newest_text(one), _base_dir(one, config)), one.config_file))
        except SlothError as error:
            where = one.config_file or f"the config of {one.listen_point}"
            found += (refuse("app configs", problem) for problem in _problems(where, error))
    if stored is None and config.paths.db and config.path(config.paths.db).exists():
        found.append(skip("app configs", "Apps made over the API: the database can't be asked"))
    if apps or not found:
        found.append(
            ok("app configs", "1 app loads" if len(apps) == 1 else f"{len(apps)} apps load")
        )
    return apps, found


def check_senders(apps: Iterable[ReadApp]) -> list[Finding]:
    """Apps whose builds can be started by others than the provider."""
    unsigned: list[str] = []
    by_address: list[str] = []
    for app in apps:
        provider = app.config.provider
        if provider is None or not isinstance(provider.options, ProviderOptions):
            continue
        options = provider.options
        if options.secrets:
            continue
        (by_address if options.trusted_ips else unsigned).append(app.config.listen_point)
    found = []
    if unsigned:
        found.append(
            warn(
                "providers",
                "Whoever knows the address starts builds ('allow_unsigned', no 'secret'): give a"
                f" 'secret' to {name_some(unsigned)}",
            )
        )
    if by_address:
        found.append(
            warn(
                "providers",
                "Deliveries are not signed, only their addresses are checked: give a 'secret' to"
                f" {name_some(by_address)}",
            )
        )
    return found or [ok("providers", "Every provider signs its deliveries, or there is none")]


def name_some(names: list[str]) -> str:
    """The first few of the names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _match_files(config: ServerConfig) -> tuple[list[str], list[Finding]]:
    files: set[str] = set()
    found = []
    for pattern in config.paths.configs:
        matches = glob(str(config.path(pattern)), recursive=True)  # noqa: PTH207  absolute ones too
        files.update(matches)
        if not matches:
            found.append(warn("app configs", f"No file matches '{pattern}' in 'paths: configs'"))
    return sorted(files), found


def _problems(file: str, error: SlothError) -> list[str]:
    problems = error.details.get("problems", ())
    return [
        f"{file}, line {one['line']}, column {one['column']}: {one['problem']}"
        if one["line"]
        else f"{file}: {one['problem']}"
        for one in problems
    ] or [error.message]


def _parse(text: str, base_dir: Path) -> AppConfig:
    config = parse_app(
        text, base_dir=base_dir, find_options=find_options, find_extension=find_app_options
    )
    check_privileges(config, text)
    return config


def _newest_text(app: StoredApp) -> str:
    return app.config if app.config_file is None else read_config_file(app.config_file)


def _base_dir(app: StoredApp, config: ServerConfig) -> Path:
    return config.base_dir if app.config_file is None else Path(app.config_file).parent


def _find_twins(apps: Iterable[ReadApp]) -> Iterator[Finding]:
    seen: dict[str, str | None] = {}
    for app in apps:
        name = app.config.listen_point
        if name in seen:
            yield refuse(
                "app configs",
                f"{app.file} and {seen[name]} both want the listen point '{name}': rename one",
            )
        seen[name] = app.file


def _check_app_file(file: Path, text: str) -> Iterator[Finding]:
    mode = S_IMODE(file.stat().st_mode)
    if mode & 0o002:
        yield refuse(
            "app configs", f"Anybody may change {file}, and run commands: chmod o-w {file}"
        )
    if mode & 0o044 and any(_is_plain(secret) for secret in _secrets(text)):
        yield warn(
            "app configs",
            f"Others may read {file} with a secret in plain: chmod 600 {file}, or use"
            " {env: NAME} or {file: path}",
        )


def _check_secret_file(file: Path) -> Iterator[Finding]:
    try:
        mode = S_IMODE(file.stat().st_mode)
    except OSError:
        return  # that the config tells
    if mode & _BY_OTHERS:
        yield warn("config access", f"Others may read the password in {file}: chmod 600 {file}")


def _passwords(data: Any) -> Iterator[Any]:
    logins = data.get("api_auth") or data.get("auth") if isinstance(data, dict) else None
    for login in logins if isinstance(logins, list) else [logins]:
        if isinstance(login, dict) and login.get("password"):
            yield login["password"]


def _secrets(text: str) -> Iterator[Any]:
    provider = read_app_document(text).data.get("provider")
    options = next(iter(provider.values()), None) if isinstance(provider, dict) else None
    secrets = options.get("secret") if isinstance(options, dict) else None
    yield from secrets if isinstance(secrets, list) else [secrets]


def _is_plain(secret: Any) -> bool:
    return isinstance(secret, str) and not secret.startswith(_HASH_PREFIX)
