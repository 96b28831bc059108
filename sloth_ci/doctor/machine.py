"""What the server stands on: Python, SQLite, limits; and whether it runs."""

import resource
import sys
from collections.abc import Callable

from sloth_ci import __version__
from sloth_ci.client import BadUrl
from sloth_ci.config import ServerConfig
from sloth_ci.doctor.findings import Finding, ok, refuse, skip, warn
from sloth_ci.errors import LoginRequired, ServerUnreachable, SlothError
from sloth_ci.server import FILES
from sloth_ci.store.inspection import LEAST_SQLITE, SQLITE_VERSION

#: The versions of Python that it is tested with, from the first to the last.
TESTED = ((3, 11), (3, 13))


def check_server_answers(ask_version: Callable[[], str]) -> Finding:
    """Whether the server runs, and as the version that is installed."""
    try:
        version = ask_version()
    except ServerUnreachable as error:
        return skip("server", f"{error.message} Start it with 'sci start'")
    except BadUrl:
        return skip("server", "Its port isn't known from the config ('port: 0')")
    except LoginRequired:
        return warn("server", "It answers, but not to this login: set SLOTH_LOGIN, SLOTH_PASSWORD")
    except SlothError as error:
        return refuse("server", error.message)
    if version != __version__:
        advice = f"It runs as version {version}, installed is {__version__}: sci restart"
        return warn("server", advice)
    return ok("server", f"It runs, version {version}")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether this Python is one that the server is tested with."""
    shown = ".".join(map(str, version))
    first, last = TESTED
    if first <= version[:2] <= last:
        return ok("Python", shown)
    known = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return warn("Python", f"{shown} is not tested with this release: use {known}")


def check_sqlite(version: tuple[int, ...] = SQLITE_VERSION) -> Finding:
    """Whether this SQLite knows all that the database needs."""
    shown = ".".join(map(str, version))
    if version < LEAST_SQLITE:
        least = ".".join(map(str, LEAST_SQLITE))
        return refuse("SQLite", f"{shown} is too old: use a Python with SQLite {least} or newer")
    return ok("SQLite", shown)


def check_open_files(config: ServerConfig) -> Finding:
    """Whether as many files may be open as the server's connections need."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # the server raises the soft one
    wanted = config.max_connections + FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return warn(
            "open files",
            f"At most {hard} may be open, {wanted} are wanted: raise the limit (ulimit -Hn, or"
            " LimitNOFILE of the service), or lower 'max_connections'",
        )
    return ok("open files", "As many may be open as 'max_connections' needs")
