"""`webhooks` tells others of builds and apps: each event is a signed HTTP request.

```yaml
listen_point: web
actions:
  - make deploy
extensions:
  tell_the_board:
    module: webhooks
    url: https://board.example.org/hooks/ci   # or {env: NAME}, {file: path}
    # Text, or `whsec_` and base64. A list while it is being changed: requests are signed with each.
    secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    # All of them when not given.
    events: [build.finished, app.removed]
    timeout: 10          # seconds for one request, until the last byte of its answer
    # Needed for an address inside of a network, such as 10.0.0.5 or localhost.
    private: false
    # ca_file: ca.pem    # authorities to trust instead of the system's
```

Events are `build.queued`, `build.started`, `build.finished`, `app.created`, `app.updated` and
`app.removed`. In the config of an app it tells of that app, in that of the server (`server.yml`) of
all apps. A request is a POST with JSON:

```json
{
  "id": "msg_0d7c0a2f5c1e4bb8a2a4a1c1b7f0d9e3",
  "type": "build.finished",
  "created_at": "2030-01-31T12:00:00.250Z",
  "data": {"listen_point": "web", "id": 17, "status": "complete", "message": "Complete (2/2)",
           "cause": "push", "params": {"branch": "main"}, "total": 2, "completed": 2,
           "queued": 1896091200.1, "started": 1896091200.1, "finished": 1896091210.2,
           "url": "https://ci.example.org/-/builds/17"}
}
```

It is signed as [Standard Webhooks](https://www.standardwebhooks.com) has it, by the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature`; libraries for many languages check that.
An event of an app has only `listen_point` as its data.

Events wait in the database until they have arrived, over restarts too. Any answer but 2xx, and none
at all, is a try in vain; the next ones come after 5 seconds, 30 seconds, 2 and 10 minutes, 1, 6
and 24 hours, and then the event is given up, which the log says. Events arrive in order; one that
can't be delivered holds up those behind it. An event may arrive twice, with the same `webhook-id`.
An endpoint that answers 410 wants no more, and gets none until its URL changes or a test succeeds.
Redirects are not followed.

`/?action=webhook_log&listen_point=web` shows what was sent and what came of it, and
`/?action=webhook_test&listen_point=web` sends a `webhook.test` event at once; without
`listen_point` they are about webhooks of the server.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from json import dumps
from logging import ERROR, WARNING
from time import time
from typing import Any
from uuid import uuid4

from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import AppEvent, BuildEvent
from sloth_ci.outgoing import Outgoing, SendFailed
from sloth_ci.parameters import Answer, ApiAction
from sloth_ci.store.outbox import OutboxEntry

from .api import MOST, WHERE, send_test, show_log
from .courier import Courier, find_courier
from .messages import make_message, read_key
from .options import WebhooksOptions

#: Under this note stands which URL wants nothing any more.
_GONE = "gone"


class Webhooks(Extension):
    """One endpoint that is told of events."""

    Options = WebhooksOptions
    for_server = True

    options: WebhooksOptions

    def __init__(
        self, options: WebhooksOptions, context: Context, *, clock: Callable[[], float] = time
    ) -> None:
        super().__init__(options, context)
        self._clock = clock
        self._keys = [read_key(secret) for secret in options.secret]
        self._url_mark = sha256(options.url.encode()).hexdigest()[:16]
        self._outgoing = Outgoing(
            private=options.private,
            timeout=options.timeout,
            ca_file=context.base_dir / options.ca_file if options.ca_file else None,
        )
        self._is_gone = False
        self._is_app_gone = False

    @property
    def key(self) -> tuple[int, str]:
        """The app's id and the extension's name that the entries are kept under."""
        return self.context.app_id or 0, self.context.name

    @property
    def _courier(self) -> Courier:
        return find_courier(self.context.store)

    def open(self) -> None:
        """Go on with what waits."""
        self._is_gone = self.context.notes.get(_GONE) == self._url_mark
        self._courier.serve(self)

    def close(self) -> None:
        """Leave what waits to the next server; of an app that is gone it is sent still."""
        if not self._is_app_gone:
            self._courier.leave(self)

    @hook
    def build_queued(self, build: BuildEvent) -> None:
        """Tell of a build that waits."""
        self._tell_of_build("build.queued", build)

    @hook
    def build_started(self, build: BuildEvent) -> None:
        """Tell of a build that runs."""
        self._tell_of_build("build.started", build)

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Tell of a build's end."""
        self._tell_of_build("build.finished", build)

    @hook
    def app_added(self, app: AppEvent) -> None:
        """Tell of a new app."""
        if not app.at_start:
            self._tell("app.created", {"listen_point": app.listen_point})

    @hook
    def app_updated(self, app: AppEvent) -> None:
        """Tell of an app's new config."""
        self._tell("app.updated", {"listen_point": app.listen_point})

    @hook
    def app_removed(self, app: AppEvent) -> None:
        """Tell that an app is gone."""
        self._is_app_gone = self.context.app_id is not None
        self._tell("app.removed", {"listen_point": app.listen_point})

    @hook
    def api_actions(self) -> Sequence[ApiAction]:
        """The delivery log, and a test."""
        return ACTIONS

    def entries(self, *, most: int) -> list[OutboxEntry]:
        """What was sent to it, or is to be, newest first."""
        app_id, name = self.key
        return self._courier.outbox.log(app_id=app_id, extension=name, most=most)

    def deliver(self, entry: OutboxEntry) -> int:
        """Send an entry and give the status of the answer; raises SendFailed."""
        app_id, name = self.key
        mark = f"{app_id} {name} {entry.id} {entry.created!r}"
        return self._send(mark=mark, kind=entry.kind, created=entry.created, data=entry.body)

    def test(self) -> int:
        """Send a test event at once and give the status of the answer; raises SendFailed."""
        data = dumps({"listen_point": self.context.listen_point, "extension": self.context.name})
        now = self._clock()
        status = self._send(mark=uuid4().hex, kind="webhook.test", created=now, data=data)
        if self._is_gone:
            self._is_gone = False
            self.context.notes.set(_GONE, "")
        return status

    def log(self, level: int, text: str) -> None:
        """Say something in the log."""
        self.context.log(level, text)

    def note_gone(self) -> None:
        """The endpoint wants nothing any more."""
        self._is_gone = True
        self.context.notes.set(_GONE, self._url_mark)
        app_id, name = self.key
        answer = "the endpoint answered 410 to an earlier one: it wants no more"
        lost = self._courier.outbox.give_up(
            app_id=app_id, extension=name, answer=answer, now=self._clock()
        )
        self.context.log(
            ERROR,
            "the endpoint answered 410: it wants no more, so nothing is sent to it until its URL"
            f" changes or a test succeeds ({lost + 1} events are given up)",
        )

    def _send(self, *, mark: str, kind: str, created: float, data: str) -> int:
        message = make_message(mark=mark, kind=kind, created=created, data=data)
        headers = message.headers(keys=self._keys, now=self._clock())
        try:
            url = self.options.url
            return self._outgoing.send("POST", url, body=message.body, headers=headers).status
        except SendFailed as error:
            raise error.masked(self.context.mask) from error

    def _tell_of_build(self, kind: str, build: BuildEvent) -> None:
        self._tell(
            kind,
            {
                "listen_point": build.listen_point,
                "id": build.id,
                "status": build.status,
                "message": build.message,
                "cause": build.cause,
                "params": dict(build.params),
                "total": build.total,
                "completed": build.completed,
                "queued": build.queued,
                "started": build.started,
                "finished": build.finished,
                "url": self.context.build_url(build.id),
            },
        )

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        if kind not in self.options.events or self._is_gone:
            return
        now = self._clock()
        # Whoever queues a build must not wait for the disk once more.
        self.context.later(lambda: self._keep(kind, dumps(data), now))

    def _keep(self, kind: str, data: str, now: float) -> None:
        app_id, name = self.key
        surplus = self._courier.outbox.add(
            app_id=app_id, extension=name, kind=kind, body=data, now=now
        )
        if surplus is not None:
            self.context.log(WARNING, "too many events wait: the oldest one is given up")
        self._courier.wake()


def _find(server: Any, listen_point: str | None, name: str | None) -> list[Webhooks]:
    """Raises AppNotFound or BadParam."""
    place = server.bed.find(listen_point) if listen_point else server.bed
    found: list[Webhooks] = place.extensions.pick(Webhooks, name)
    return found


def _show_log(server: Any, *, listen_point: str | None, name: str | None, per_page: int) -> Answer:
    return show_log(_find(server, listen_point, name), most=per_page)


def _send_test(server: Any, *, listen_point: str | None, name: str | None) -> Answer:
    return send_test(_find(server, listen_point, name))


ACTIONS = (
    ApiAction(
        name="webhook_log",
        status=200,
        about="What was sent to webhooks, newest first, and what came of it.",
        run=_show_log,
        parameters=(*WHERE, MOST),
        example={"listen_point": "web"},
    ),
    ApiAction(
        name="webhook_test",
        status=200,
        about="Sends a test event to webhooks at once, and tells what came of it.",
        run=_send_test,
        parameters=WHERE,
        changes_state=True,
        example={"listen_point": "web"},
    ),
)
EXTENSION = Webhooks
