"""`badge` shows how the last build of an app went, as a small picture for a README or a page.

An app that declares it has the picture at `/<listen point>/-/badge.svg`, and at `badge.json` the
same in the JSON of [shields.io endpoints](https://shields.io/badges/endpoint-badge). Both are shown
without login, unless `open` is `false`; nothing is fetched from anywhere.

```yaml
listen_point: web
actions:
  - make test
extensions:
  badge:
    module: badge
    label: tests                # 'build' when not given
    style: flat-square          # flat (when not given), flat-square, for-the-badge
    branch: main                # the last build of that branch; of any when not given
    page: tests                 # /-/tests.svg and /-/tests.json; 'badge' when not given
    max_age: 60                 # seconds it may be kept; asked for anew each time when not given
    open: false                 # wants a login; true when not given
```

The server can have it too. Then every app whose config has the key `badge` has its picture at
`/-/badge/<listen point>.svg` of the server, and what it doesn't say is as the server's config says.

```yaml server
extensions:
  badges:
    module: badge
    style: for-the-badge
```

```yaml after server
listen_point: team/web
actions:
  - make test
badge: {label: web}             # or {}
```

It says `never`, `queued`, `running`, `passed`, `partial`, `failed` (also of what timed out) or
`cancelled` (also of what was interrupted).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Annotated, Any

from sloth_ci.builds import BuildStatus
from sloth_ci.config import Filled, Flag, OptionalFilled, PageName, Seconds, Section, one_of
from sloth_ci.errors import PathNotFound
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import AppEvent, Page
from sloth_ci.request import Reply, Request
from sloth_ci.store import StoredBuild

from ._badge_picture import STYLES, Look, draw

NEVER = Look("never", "#8b949e", "lightgrey")
LOOKS = {
    BuildStatus.QUEUED: Look("queued", "#6e7f96", "inactive"),
    BuildStatus.RUNNING: Look("running", "#1f6feb", "blue"),
    BuildStatus.COMPLETE: Look("passed", "#2da44e", "brightgreen"),
    BuildStatus.PARTIAL: Look("partial", "#bf8700", "yellow"),
    BuildStatus.FAILED: Look("failed", "#cf222e", "red"),
    BuildStatus.TIMED_OUT: Look("failed", "#cf222e", "red"),
    BuildStatus.CANCELLED: Look("cancelled", "#8b949e", "lightgrey"),
    BuildStatus.INTERRUPTED: Look("cancelled", "#8b949e", "lightgrey"),
}


class BadgeKey(Section):
    """What an app may say under `badge` when the server has the extension; '' leaves it open."""

    label: OptionalFilled = None
    style: Annotated[str | None, one_of(*STYLES)] = None
    branch: OptionalFilled = None


class BadgeOptions(Section):
    """What is shown, and to whom."""

    label: Filled = "build"
    style: Annotated[str, one_of(*STYLES)] = "flat"
    branch: OptionalFilled = None
    page: PageName = "badge"
    max_age: Seconds | None = None
    open: Flag = True


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose badge it is, and what it looks like."""

    app_id: int | None
    label: str
    style: str
    branch: str | None


class Badge(Extension):
    """Draws badges when they are asked for."""

    Options = BadgeOptions
    options: BadgeOptions
    for_apps, for_server = True, True

    def __init__(self, options: BadgeOptions, context: Context) -> None:
        super().__init__(options, context)
        #: By listen point, on the server.
        self._subjects: dict[str, Subject] = {}

    @hook
    def pages(self) -> Sequence[Page]:
        """The picture and the JSON, of one app or of all that want it."""
        page, open_ = self.options.page, self.options.open
        if not self.context.listen_point:
            about = "how the last build of an app went: <listen point>.svg or .json"
            return [Page(f"{page}/", about, self._answer_for_any, open=open_)]
        return [
            Page(
                f"{page}.{kind}",
                f"how the last build went, as {kind.upper()}",
                partial(self._answer_for_own, kind),
                open=open_,
            )
            for kind in ("svg", "json")
        ]

    @hook
    def app_keys(self) -> Mapping[str, Any]:
        """Apps say by `badge` that they want one."""
        return {"badge": BadgeKey}

    @hook
    def app_added(self, app: AppEvent) -> None:
        """Remember an app that wants a badge."""
        said: BadgeKey | None = app.further.get("badge")
        if self.context.listen_point or said is None:
            self._subjects.pop(app.listen_point, None)
            return
        self._subjects[app.listen_point] = Subject(
            app.app_id,
            said.label or self.options.label,
            said.style or self.options.style,
            said.branch or self.options.branch,
        )

    @hook
    def app_updated(self, app: AppEvent) -> None:
        """It may have changed its mind."""
        self.app_added(app)

    @hook
    def app_removed(self, app: AppEvent) -> None:
        """Forget it."""
        self._subjects.pop(app.listen_point, None)

    def _answer_for_own(self, kind: str, request: Request) -> Reply:
        said = self.options
        subject = Subject(self.context.app_id, said.label, said.style, said.branch)
        return self._answer(request, kind, subject)

    def _answer_for_any(self, request: Request) -> Reply:
        _, _, name = request.path.partition(f"/{self.options.page}/")
        listen_point, _, kind = name.rpartition(".")
        subject = self._subjects.get(listen_point)
        if subject is None or kind not in ("svg", "json"):
            raise PathNotFound(path=request.path)
        return self._answer(request, kind, subject)

    def _answer(self, request: Request, kind: str, subject: Subject) -> Reply:
        last = self._last_build(subject)
        look = LOOKS[last.status] if last else NEVER
        if kind == "svg":
            body, media = draw(subject.label, look, subject.style), "image/svg+xml; charset=utf-8"
        else:
            body, media = describe(subject.label, look, subject.style), "application/json"
        return answer(request, body.encode(), self._headers(media))

    def _last_build(self, subject: Subject) -> StoredBuild | None:
        if subject.app_id is None:
            return None
        if subject.branch is None:
            return self.context.store.last_build(subject.app_id)
        found = self.context.store.builds(app_id=subject.app_id, branch=subject.branch, most=1)
        return found[0] if found else None

    def _headers(self, media: str) -> dict[str, str]:
        whose = "public" if self.options.open else "private"
        age = self.options.max_age
        return {
            "Content-Type": media,
            "Cache-Control": f"{whose}, max-age={age:.0f}" if age else f"{whose}, no-cache",
            # A picture that is opened by itself runs nothing and loads nothing.
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        }


def answer(request: Request, body: bytes, headers: Mapping[str, str]) -> Reply:
    """The body, or word that the one which the caller has is still right (RFC 9110, 13.1.2)."""
    tag = f'"{sha256(body).hexdigest()[:24]}"'
    had = [one.strip().removeprefix("W/") for one in request.header("if-none-match").split(",")]
    if tag in had or had == ["*"]:
        return Reply(304, b"", {**headers, "ETag": tag})
    return Reply(200, body, {**headers, "ETag": tag})


def describe(label: str, look: Look, style: str) -> str:
    """The JSON of shields.io endpoints."""
    value = {
        "schemaVersion": 1,
        "label": label,
        "message": look.word,
        "color": look.name,
        "isError": look.name == "red",
        "style": style,
    }
    return json.dumps(value)


EXTENSION = Badge
