"""Config files of apps: read with care, since their paths come over the API."""

import stat
from pathlib import Path

from sloth_ci.errors import ConfigError, ConfigFileNotFound, ConfigUnreadable
from sloth_ci.source import MAX_SIZE


def read_config_file(name: str) -> str:
    """The text of the file at that absolute path.

    Raises ConfigFileNotFound, or ConfigUnreadable for anything but a regular file of modest size.
    """
    path = Path(name)
    if not path.is_absolute():
        raise ConfigUnreadable(file=name, reason="the path must be absolute")
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigUnreadable(file=name, reason="it is not a regular file")
        if found.st_size > MAX_SIZE:
            raise ConfigUnreadable(file=name, reason=f"it is larger than {MAX_SIZE} bytes")
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigFileNotFound(config_file=name) from error
    except OSError as error:
        raise ConfigUnreadable(file=name, reason=error.strerror) from error
    except ValueError as error:
        raise ConfigUnreadable(file=name, reason="it is not UTF-8 text") from error


def without_content(file: str, error: ConfigError) -> ConfigUnreadable:
    """The error for a file that the caller may not be allowed to read: places, but no content."""
    problems = error.details.get("problems", ())
    lines = ", ".join(str(found["line"]) for found in problems if found["line"])
    where = f" (see line {lines})" if lines else ""
    return ConfigUnreadable(file=file, reason=f"it is no valid app config{where}")
