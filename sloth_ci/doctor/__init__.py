"""The doctor: looks at a server's config, its state and its machine, and gives advice.

It changes nothing, and works with the server running or not.
"""

from collections.abc import Callable
from pathlib import Path

from sloth_ci.doctor import configs, exposure, machine, storage
from sloth_ci.doctor.findings import Finding, State, skip

__all__ = ["Finding", "State", "examine"]

#: What can't be known without a config.
_NEEDS_CONFIG = (
    "app configs",
    "providers",
    "database",
    "disk space",
    "clock",
    "address",
    "TLS",
    "user",
    "open files",
)


def examine(config_file: Path, *, ask_version: Callable[[], str], now: float) -> list[Finding]:
    """Every finding about the server of that config file.

    `ask_version` asks the running server for its version and raises what `Client.call` raises;
    `now` is in seconds since the epoch.
    """
    config, found = configs.check_server(config_file)
    found += configs.check_access(config_file)
    if config is None:
        found += [skip(check, "The server config doesn't load") for check in _NEEDS_CONFIG]
    else:
        contents, database = storage.check_database(config)
        stored = contents.apps if contents else None
        apps, app_configs = configs.check_apps(config, stored)
        found += [*app_configs, *configs.check_senders(apps), *database]
        found += storage.check_space(config)
        found.append(storage.check_clock(config, contents, now))
        found.append(exposure.check_address(config))
        found.append(exposure.check_tls(config, now))
        found.append(exposure.check_user(config, apps))
        found.append(machine.check_open_files(config))
    found.append(machine.check_server_answers(ask_version))
    return [*found, machine.check_python(), machine.check_sqlite()]
