"""Chats and push services through apprise, which is loaded with this module only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import WARNING, Handler, LogRecord, getLogger
from threading import get_ident
from typing import Any
from urllib.parse import urlsplit

import apprise
from apprise.common import OverflowMode

from sloth_ci.builds import BuildStatus
from sloth_ci.masking import escape_controls
from sloth_ci.outgoing import SendFailed, find_addresses

from .texts import Notice

_LOG = getLogger("apprise")
_ASSET: dict[str, Any] = {
    "app_id": "Sloth CI",
    "app_desc": "Sloth CI",
    "app_url": "",
    "image_url_mask": "",
    "image_url_logo": "",
    "async_mode": False,
    # They would lead past the check of the target.
    "http_redirects": False,
}
_TYPES = {
    BuildStatus.RUNNING: apprise.NotifyType.INFO,
    BuildStatus.COMPLETE: apprise.NotifyType.SUCCESS,
    BuildStatus.FAILED: apprise.NotifyType.FAILURE,
    BuildStatus.TIMED_OUT: apprise.NotifyType.FAILURE,
}
#: Services that show a coloured card when they get Markdown, and plain text otherwise.
_CARDS = frozenset({"discord"})


class Service:
    """One service, by its URL. Raises ValueError, without the URL, when apprise doesn't know it."""

    is_chat = True

    def __init__(self, url: str, *, private: bool) -> None:
        scheme, _, rest = url.partition("://")
        if scheme in _CARDS and "format=" not in rest:
            url += f"{'&' if '?' in rest else '?'}format=markdown"
        asset = apprise.AppriseAsset(**_ASSET)
        with _hear():
            service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None:
            raise ValueError(
                f"has a service '{_name(url)}' that apprise doesn't understand; its forms are at"
                " https://appriseit.com/services/"
            )
        if "overflow=" not in rest:
            service.overflow_mode = OverflowMode.TRUNCATE
        self.name = _name(url)
        self._service = service
        self._private = private

    def send(self, notice: Notice, log: Callable[[int, str], None]) -> None:
        """Send it; raises SendFailed."""
        self._check_target()
        with _hear() as said:
            sent = self._service.notify(
                title=notice.subject,
                body=notice.body,
                notify_type=_type(notice.mood),
                body_format=apprise.NotifyFormat.TEXT,
            )
        if not sent:
            words = escape_controls(" ".join(" ".join(said).split()))[:300]
            raise SendFailed(f"the service refuses: {words}" if words else "the service refuses")

    def _check_target(self) -> None:
        """Refuse a host inside; of most services the URL has tokens in the place of the host."""
        service = self._service
        if "host" in service.template_tokens and service.host:
            find_addresses(service.host, service.port or 443, private=self._private, timeout=10.0)


class _Ear(Handler):
    """Hears what apprise says on this thread: the reasons of failures are told nowhere else."""

    def __init__(self) -> None:
        super().__init__(WARNING)
        self._thread = get_ident()
        self.heard: list[str] = []

    def emit(self, record: LogRecord) -> None:
        """Keep a line."""
        if record.thread == self._thread:
            self.heard.append(record.getMessage())


@contextmanager
def _hear() -> Iterator[list[str]]:
    ear = _Ear()
    _LOG.addHandler(ear)
    try:
        yield ear.heard
    finally:
        _LOG.removeHandler(ear)


def _name(url: str) -> str:
    return urlsplit(url).scheme or "without a name"


def _type(mood: BuildStatus) -> apprise.NotifyType:
    """What gives the colour, or the sign."""
    return _TYPES.get(mood, apprise.NotifyType.WARNING)
