"""Whom builds run as: what an app's config wants has to be possible on this machine."""

from collections.abc import Iterable

from sloth_ci.app import App
from sloth_ci.config import AppConfig, read_app_document, refused_at
from sloth_ci.journal import SERVER_LOG
from sloth_ci.shell import NotRunnable, check_runnable, is_root

#: Apps named in one line of the log.
_NAMED = 5


def check_privileges(config: AppConfig, text: str) -> None:
    """Raises ConfigInvalid, with the place in the text, when no build of the app could run here."""
    try:
        check_runnable(user=config.user, limits=config.limits.granted)
    except NotRunnable as error:
        place = read_app_document(text).locate(tuple(error.key.split(".")))
        raise refused_at(place, str(error)) from error


def warn_of_root(apps: Iterable[App]) -> None:
    """Say in the server's log whose builds run as root."""
    as_root = [app.listen_point for app in apps if app.config.user is None] if is_root() else []
    if not as_root:
        return
    more = len(as_root) - _NAMED
    SERVER_LOG.warning(
        "Builds run as root, so whoever can push may do anything to this machine; give each app a"
        " 'user', or run the server as somebody else. Apps without 'user': %s%s",
        ", ".join(as_root[:_NAMED]),
        f" and {more} more" if more > 0 else "",
    )
