"""`greeter` greets: in the log, on a page, by the API, and instead of running `greet` actions.

```yaml
listen_point: web
actions:
  - greet {name}
extensions:
  hello:
    module: greeter
    greeting: Well met
```
"""

from collections.abc import Mapping, Sequence
from logging import INFO
from typing import Any

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome, OutcomeStatus
from sloth_ci.config import Filled, Section
from sloth_ci.extension import Extension, hook
from sloth_ci.hooks import BuildEvent, Page
from sloth_ci.parameters import Answer, ApiAction, Parameter
from sloth_ci.records import Stream
from sloth_ci.request import Reply, Request


class Options(Section):
    """How it greets."""

    greeting: Filled = "Hello"


class Greeter(Extension):
    """Greets."""

    Options = Options
    options: Options
    for_apps, for_server = True, True

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Greet the build, and remember it."""
        self.context.log(INFO, f"{self.options.greeting}, build {build.id}: {build.message}")
        if build.params.get("fail"):
            raise RuntimeError("no greeting today")
        self.context.later(lambda: self.context.notes.set("last", str(build.id)))

    @hook
    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome | None:
        """Run the actions that begin with `greet`."""
        command = build.actions[position].template.fill(build.params)
        if not command.startswith("greet "):
            return None
        name = command.removeprefix("greet ")
        journal.output(build, Stream.STDOUT, f"{self.options.greeting}, {name}!")
        return Outcome(OutcomeStatus.COMPLETED, exit_code=0)

    @hook
    def pages(self) -> Sequence[Page]:
        """One for everybody, one for those with a login."""
        return [
            Page("hello", "a greeting", self._show, open=True),
            Page("secret", "a greeting for friends", self._show),
            Page("broken", "a fault", lambda _request: 1 / 0, open=True),
        ]

    @hook
    def api_actions(self) -> Sequence[ApiAction]:
        """Greet somebody."""
        parameter = Parameter("name", "whom", required=True)
        return [ApiAction("greet", 200, "Greet somebody.", self._greet, (parameter,))]

    @hook
    def app_info(self) -> Mapping[str, Any]:
        """The last build that was greeted."""
        return {"greeted": self.context.notes.get("last")}

    def _show(self, request: Request) -> Reply:
        text = f"{self.options.greeting} from {self.context.listen_point or 'the server'}"
        return Reply(200, text.encode(), {"Content-Type": "text/plain", "Cache-Control": "public"})

    def _greet(self, _server: Any, *, name: str) -> Answer:
        return Answer(f"{self.options.greeting}, {name}!")


EXTENSION = Greeter
