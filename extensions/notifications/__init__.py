"""`notifications` tells people how builds end: by e-mail, and in chats and on phones.

```yaml
listen_point: web
provider:
  github: {secret: some-long-random-text}
actions:
  - make test
extensions:
  tell_us:
    module: notifications
    on: [broken, still_failing, fixed]
    email:
      host: mail.example.org
      security: starttls        # starttls (the default), tls or none
      # port: 587               # the usual one of `security` when not given
      login: ci@example.org
      password: secret-word     # or {env: NAME}, {file: path}
      sender: Sloth CI <ci@example.org>
      to: [ann@example.org, bob@example.org]
      timeout: 20               # seconds for a whole exchange
      # ca_file: ca.pem         # authorities to trust instead of the system's
    # What appears in the subject and in the text; without them, a sensible text of our own.
    subject: "{listen_point} is {change} by {author}"
    body: |
      {headline}
      {message}
      {link}

      {log}
    log_lines: 20               # lines of the build's log that `{log}` holds, the last ones
```

`on` lists what is told: how a build ends (`complete`, `partial`, `failed`, `timed_out`,
`cancelled`, `interrupted`), that it begins (`started`), and changes: `broken` is one that fails
after one that didn't, `still_failing` one that fails after one that did, `fixed` one that completes
after one that failed. For changes a build is held against the one before it of the same branch,
those cancelled or interrupted passed by. Without `on`, it is partial, failed, timed_out and fixed.

For chats and push services, `services` lists URLs of [apprise](https://appriseit.com/services/),
which needs the extra `notify`: `pip install 'sloth-ci[notify]'`.

```yaml
listen_point: web
actions:
  - make test
extensions:
  tell_the_chat:
    module: notifications
    services:
      - discord://webhook_id/webhook_token    # or {env: NAME}, {file: path}
      - slack://TokenA/TokenB/TokenC/channel
      - tgram://123456789:bot_token/chat_id
      - ntfy://topic
    # Needed for a service at an address inside of a network.
    private: false
```

Placeholders are the params, as in actions (of a push: `{branch}`, `{tag}`, `{commit}`, `{author}`,
`{message}`, `{url}`, …), and of the build `{listen_point}`, `{build}` (its number), `{status}`,
`{outcome}` ("Failed (1/2)"), `{change}` ("broken", "still failing", "fixed"), `{headline}` (these
in one line), `{cause}`, `{duration}`, `{log}`, and `{link}`, which needs the `url` of the server
config. What is not known stays as it is written, and `{{x}}` is the text `{x}`. A line of the body
whose placeholders are all empty is left out.

Notifications are sent in the background: a mail server that hangs holds up no build and no stop.
What fails is tried twice more, and then the app's log says so. `sci notify web`, or
`/?action=notify&listen_point=web`, sends a test.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from logging import DEBUG, ERROR
from threading import Event
from time import time
from typing import Any, Protocol

from sloth_ci.builds import BuildStatus
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import BuildEvent
from sloth_ci.outgoing import SendFailed, try_again
from sloth_ci.parameters import Answer, ApiAction, Parameter
from sloth_ci.records import Logger

from .mail import Mail
from .occasions import STARTED, Occasion, find_change, possible
from .options import NotificationsOptions
from .texts import Notice, list_values, write_notice

#: Seconds from each try in vain to the next.
PAUSES = (5.0, 30.0)
_SAMPLE = {
    "branch": "main",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "author": "A. Sloth",
    "message": "This is a test of the notifications",
}


class Channel(Protocol):
    """One way to people."""

    @property
    def name(self) -> str:
        """What it is called in messages; no secret."""

    @property
    def is_chat(self) -> bool:
        """Whether texts in it may call people."""

    def send(self, notice: Notice, log: Callable[[int, str], None]) -> None:
        """Send a notice; raises SendFailed."""


class Notifications(Extension):
    """Tells people of builds."""

    Options = NotificationsOptions
    for_server = True

    options: NotificationsOptions

    def __init__(
        self,
        options: NotificationsOptions,
        context: Context,
        *,
        pauses: Sequence[float] = PAUSES,
        clock: Callable[[], float] = time,
    ) -> None:
        super().__init__(options, context)
        self._pauses = pauses
        self._clock = clock
        self._ended = Event()
        #: Those that failed the last time get one try: what hangs must not pile up.
        self._failing: set[Channel] = set()
        self._channels: list[Channel] = []
        if options.email is not None:
            self._channels.append(Mail(options.email, base_dir=context.base_dir))
        if options.services:
            self._channels += _open_services(options.services, private=options.private)

    def close(self) -> None:
        """Wait for no further try."""
        self._ended.set()

    @hook
    def build_started(self, build: BuildEvent) -> None:
        """Tell that a build begins, if that is wanted."""
        if STARTED in self.options.on:
            self.context.later(lambda: self._notify(Occasion(build)))

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Tell how a build ended, if that is wanted."""
        if possible(build) & self.options.on:
            self.context.later(lambda: self._consider(build))

    @hook
    def api_actions(self) -> Sequence[ApiAction]:
        """A test."""
        return ACTIONS

    def test(self) -> list[tuple[str, str | None]]:
        """Send a test by every channel at once: its name, and what went wrong, if anything."""
        now = self._clock()
        build = BuildEvent(
            id=0,
            app_id=self.context.app_id or 0,
            listen_point=self.context.listen_point or "test",
            status=BuildStatus.COMPLETE,
            message="Test (1/1)",
            cause="trigger",
            params=_SAMPLE,
            total=1,
            completed=1,
            queued=now - 2,
            started=now - 2,
            finished=now,
        )
        write = self._writer(Occasion(build), link=self.context.build_url(0), log=["A line of log"])
        return [
            (channel.name, self._try_once(channel, write(channel))) for channel in self._channels
        ]

    def _try_once(self, channel: Channel, notice: Notice) -> str | None:
        try:
            channel.send(notice, self.context.log)
        except SendFailed as error:
            return self.context.mask(str(error))
        return None

    def _consider(self, build: BuildEvent) -> None:
        occasion = Occasion(build, find_change(build, self.context.store))
        if occasion.names & self.options.on:
            self._notify(occasion)

    def _notify(self, occasion: Occasion) -> None:
        link = self.context.build_url(occasion.build.id)
        write = self._writer(occasion, link=link, log=self._read_log(occasion.build))
        for channel in self._channels:
            self._send(channel, write(channel), occasion.build.id)

    def _send(self, channel: Channel, notice: Notice, build_id: int) -> None:
        pauses = () if channel in self._failing else self._pauses
        try:
            try_again(
                lambda: channel.send(notice, self.context.log), pauses=pauses, ended=self._ended
            )
        except SendFailed as error:
            self._failing.add(channel)
            self.context.log(ERROR, f"build {build_id} not told by {channel.name}: {error}")
        else:
            self._failing.discard(channel)
            self.context.log(DEBUG, f"build {build_id} told by {channel.name}")

    def _writer(
        self, occasion: Occasion, *, link: str, log: Sequence[str]
    ) -> Callable[[Channel], Notice]:
        values = list_values(occasion, link=link, log=log, mask=self.context.mask)
        quiet = {name: _quieten(value) for name, value in values.items()}
        options, mood = self.options, occasion.build.status

        def write(channel: Channel) -> Notice:
            chosen = quiet if channel.is_chat else values
            return write_notice(options.subject, options.body, chosen, mood=mood)

        return write

    def _read_log(self, build: BuildEvent) -> list[str]:
        """The last lines that tell of what the build did, the oldest first."""
        wanted = self.options.log_lines
        if not wanted or "{log}" not in self.options.body or not build.status.final:
            return []
        page = self.context.store.records(build_id=build.id, most=wanted + 2)
        told = (one.message for one in page.records if one.logger is Logger.EXEC)
        return list(islice(told, wanted))[::-1]


def _quieten(value: str) -> str:
    """The value so that no chat takes a part of it for the name of somebody to be called."""
    return value.replace("@", "@\u200b").replace("<!", "<\u200b!")


def _open_services(urls: Sequence[str], *, private: bool) -> list[Channel]:
    """Loads apprise, which takes a moment, only for those who use it."""
    try:
        from .services import Service
    except ModuleNotFoundError as error:
        raise ValueError(
            f"needs {error.name} for its services, which is not installed:"
            " pip install 'sloth-ci[notify]'"
        ) from error
    return [Service(url, private=private) for url in urls]


def _test(server: Any, *, listen_point: str | None, name: str | None) -> Answer:
    """Raises AppNotFound or BadParam."""
    place = server.bed.find(listen_point) if listen_point else server.bed
    found: list[Notifications] = place.extensions.pick(Notifications, name)
    return Answer(
        [
            {"name": one.context.name, "by": by, "sent": problem is None, "problem": problem}
            for one in found
            for by, problem in one.test()
        ]
    )


ACTIONS = (
    ApiAction(
        name="notify",
        status=200,
        about="Sends a test by every way of notifications at once, and tells what came of it.",
        run=_test,
        parameters=(
            Parameter("listen_point", "The app; without it, the server's own notifications."),
            Parameter("name", "The extension's name in the config; without it, all of them."),
        ),
        changes_state=True,
        example={"listen_point": "web"},
    ),
)
EXTENSION = Notifications
