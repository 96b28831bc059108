"""An extension that notes all that happens to it, and does what a test wants."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome
from sloth_ci.config import Filled, Flag, OptionalFilled, SecretText, Section
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import (
    ActionEvent,
    AppEvent,
    BuildEvent,
    DeliveryEvent,
    Page,
)
from sloth_ci.parameters import Answer, ApiAction, Parameter
from sloth_ci.request import Reply, Request

#: What happened, as (name of the extension, what, to what).
EVENTS: list[tuple[str, str, Any]] = []
#: What a test wants to be done in a hook, by the hook's name.
DEEDS: dict[str, Callable[..., Any]] = {}
#: Those made, by name.
MADE: dict[str, "Probe"] = {}


class ProbeOptions(Section):
    """What a test may say."""

    word: Filled = "hello"
    key: Filled = "probe_key"
    refuse: OptionalFilled = None
    secret: SecretText | None = None
    open: Flag = True


class KeySection(Section):
    """A further key of apps."""

    colour: Filled


class Probe(Extension):
    """Notes everything."""

    Options = ProbeOptions
    options: ProbeOptions
    for_apps, for_server = True, True

    def __init__(self, options: ProbeOptions, context: Context) -> None:
        super().__init__(options, context)
        if options.refuse:
            raise ValueError(options.refuse)
        MADE[context.name] = self
        self.note("made", context.app_id)

    def note(self, what: str, about: Any = None) -> Any:
        """Keep it, and do what the test wants."""
        EVENTS.append((self.context.name, what, about))
        return DEEDS[what](self, about) if what in DEEDS else None

    def open(self) -> None:
        self.note("opened", self.context.app_id)

    def close(self) -> None:
        self.note("closed")

    @hook
    def app_added(self, app: AppEvent) -> None:
        self.note("app_added", app)

    @hook
    def app_updated(self, app: AppEvent) -> None:
        self.note("app_updated", app)

    @hook
    def app_removed(self, app: AppEvent) -> None:
        self.note("app_removed", app)

    @hook
    def delivery_received(self, delivery: DeliveryEvent) -> None:
        self.note("delivery_received", delivery)

    @hook
    def build_queued(self, build: BuildEvent) -> None:
        self.note("build_queued", build)

    @hook
    def build_started(self, build: BuildEvent) -> None:
        self.note("build_started", build)

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        self.note("build_finished", build)

    @hook
    def action_finished(self, action: ActionEvent) -> None:
        self.note("action_finished", action)

    @hook
    def prepare_build(self, build: Build, halt: Halt, journal: BuildJournal) -> Build | None:
        return self.note("prepare_build", build)

    @hook
    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome | None:
        return self.note("run_action", position)

    @hook
    def pages(self) -> Sequence[Page]:
        page = Page(self.options.word, "a word", self.show, open=self.options.open)
        below = Page(f"{self.options.word}/", "what is below", self.show, open=self.options.open)
        return [page, below]

    @hook
    def api_actions(self) -> Sequence[ApiAction]:
        parameter = Parameter("name", "whom", required=True)
        return [ApiAction(self.options.word, 200, "Say a word.", self.say, (parameter,))]

    @hook
    def app_keys(self) -> Mapping[str, Any]:
        return {self.options.key: KeySection}

    @hook
    def app_info(self) -> Mapping[str, Any]:
        return {"word": self.options.word}

    def show(self, request: Request) -> Reply:
        self.note("page", request.path)
        return Reply(200, request.path.encode(), {"Content-Type": "text/plain"})

    def say(self, _server: Any, *, name: str) -> Answer:
        return Answer(f"{self.options.word}, {name}")


class OfApps(Probe):
    """One that the server's config can't declare."""

    for_server = False


class OfServer(Probe):
    """One that apps' configs can't declare."""

    for_apps = False


EXTENSION = Probe
