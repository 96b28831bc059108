"""One build, whole: its params and where they came from, its actions and how they ended."""

import json
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from sloth_ci.api.server import Server
from sloth_ci.api.shapes import (
    between,
    find_app,
    find_build,
    mask_of,
    show_build,
    usual_duration,
)
from sloth_ci.config import read_app_document
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.store import Cause, StoredAction, StoredBuild

#: Seconds that an answer may be waited for.
MAX_WAIT = 60
#: Reruns of reruns that are followed back to where their params came from.
MAX_RERUNS = 20
#: What is shown for a param whose value comes from outside the config.
HIDDEN = "***"


def build(server: Server, *, id: int, wait: float | None) -> Answer:  # noqa: A002  its name
    """All there is to know about one build; when it is final, if that is waited for."""
    found = find_build(server, id)
    if wait and not found.status.final:
        return Answer(stream=Wait(server, found, seconds=wait))
    return Answer(describe_build(server, found))


class Wait:
    """Gives a build once, when it is final or the time is over."""

    content_type = "application/json"

    def __init__(
        self,
        server: Server,
        waited_for: StoredBuild,
        *,
        seconds: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._server = server
        self._build = waited_for
        self._now = now
        self._deadline = now() + seconds
        self.ended = False

    def pull(self) -> bytes:
        """The answer, b'' as long as the build isn't final; never waits."""
        # A build that is forgotten meanwhile is told of as it was last.
        self._build = self._server.store.find_build(self._build.id) or self._build
        if self.ended or not (self._build.status.final or self._now() >= self._deadline):
            return b""
        return self.close()

    def close(self) -> bytes:
        """The answer as it stands."""
        if self.ended:
            return b""
        self.ended = True
        return json.dumps(describe_build(self._server, self._build)).encode()


def describe_build(server: Server, found: StoredBuild) -> dict[str, Any]:
    """A build with its params and how its actions ended."""
    store = server.store
    config = None if found.config_id is None else store.config(found.config_id)
    return {
        **show_build(server, found),
        "usual_duration": usual_duration(store, found.app_id),
        "params": list(_show_params(server, found, config)),
        "config": _name_config(server, found),
        "outcomes": [show_outcome(one) for one in store.actions(found.id)],
    }


def show_outcome(action: StoredAction) -> dict[str, Any]:
    """How one action of a build ended, or that it runs."""
    return {
        "position": action.position + 1,
        "command": action.command,
        "status": action.status or "running",
        "reason": action.reason,
        "exit_code": action.exit_code,
        "signal": action.signal,
        "started": action.started,
        "finished": action.finished,
        "duration": between(action.started, action.finished),
        "cpu": None if action.cpu is None else round(action.cpu, 6),
        "memory": action.memory,
        "output": action.output,
        "first_record": action.first_record,
        "last_record": action.last_record,
    }


def _show_params(
    server: Server, found: StoredBuild, config: str | None
) -> Iterator[dict[str, str]]:
    written = (read_app_document(config).data.get("params") or {}) if config else {}
    mask, origin = mask_of(server, found), _find_origin(server, found)
    for name in {**written, **found.params}:
        if name in found.params:
            yield {"name": name, "value": mask(found.params[name]), "origin": origin}
        else:
            # {env: NAME} and {file: path} are secrets.
            value = mask(written[name]) if isinstance(written[name], str) else HIDDEN
            yield {"name": name, "value": value, "origin": "config"}


def _find_origin(server: Server, found: StoredBuild) -> str:
    """Where the params that aren't the config's came from."""
    origin: StoredBuild | None = found
    for _rerun in range(MAX_RERUNS):
        if origin is None or origin.rerun_of is None:
            break
        origin = server.store.find_build(origin.rerun_of)
    return "payload" if origin is not None and origin.cause is Cause.PUSH else "trigger"


def _name_config(server: Server, found: StoredBuild) -> str | None:
    app = find_app(server, found)
    if app is None or found.config_id is None:
        return None
    is_current = server.store.app(app.id).config_id == found.config_id
    return "current" if is_current else "former"


ROWS = (
    ApiAction(
        "build",
        200,
        "Get the state of one build.",
        build,
        (
            Parameter("id", "the build's number", kind=Kind.NUMBER, required=True),
            Parameter(
                "wait",
                "answer when the build is final, or after so many seconds",
                kind=Kind.SECONDS,
                most=MAX_WAIT,
            ),
        ),
        example={"id": "17", "wait": "30"},
    ),
)
