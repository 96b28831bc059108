"""Commands that count and watch: statistics, exports, health, and what runs."""

from time import time

from sloth_ci.cli.arguments import NO_WORD, WrongUsage, command, read_number
from sloth_ci.cli.commands.shared import REFUSED, Commands
from sloth_ci.cli.options import SINCE, UNTIL
from sloth_ci.cli.saving import save
from sloth_ci.cli.watching import Watch
from sloth_ci.errors import Unhealthy
from sloth_ci.render.figures import show_health, show_stats, show_status

_ALL = "an app's listen point; all apps without it"
#: Builds that `top` shows beside those that run.
_NEWEST = 10


class FigureCommands(Commands):
    """Count and watch."""

    theme = "Figures"

    @command(
        short="i",
        about={"interval": "look every N seconds (default: 1 on a terminal, once on a pipe)"},
    )
    def top(self, interval: str = "") -> None:
        """Watch what runs, how far it is, and what ended; q or Ctrl-C ends it."""
        seconds = read_number(interval, name="--interval")
        client = self._connect()

        def look() -> None:
            status = client.call("status")
            newest = client.call("builds", per_page=_NEWEST)["builds"]
            text = show_status(self._screen().painter, status, now=time(), newest=newest)
            watch.show({**status, "newest": newest}, text)

        watch = Watch(self._screen())
        watch.run(look, seconds)

    @command(about={"listen_point": _ALL, "since": f"{SINCE} (default: 30d)"})
    def stats(self, listen_point: str = NO_WORD, since: str = "") -> None:
        """Show how builds went: success, durations, slow actions, flaky commits."""
        answer = self._connect().call(
            "stats", listen_point=listen_point or None, since=since or None
        )
        self._screen().show(answer, show_stats(self._screen().painter, answer))

    @command(
        short="kfo",
        about={
            "listen_point": _ALL,
            "kind": "builds (the default), history or stats",
            "format": "json (the default), ndjson or csv",
            "since": SINCE,
            "until": UNTIL,
            "output": "a new file for it, instead of the terminal",
        },
    )
    def export(
        self,
        listen_point: str = NO_WORD,
        kind: str = "",
        format: str = "",  # noqa: A002  the option's name
        since: str = "",
        until: str = "",
        output: str = "",
    ) -> None:
        """Write history, builds or statistics as JSON, NDJSON or CSV."""
        if self.global_args["json"] and format not in ("", "json"):
            raise WrongUsage(f"--json and --format {format} want different things")
        pieces = self._connect().download(
            "export",
            listen_point=listen_point or None,
            kind=kind or None,
            format=format or None,
            since=since or None,
            until=until or None,
        )
        save(pieces, output)

    @command(
        about={"queue_age": "seconds that a build may wait, while nothing is paused (3600)"},
    )
    def health(self, queue_age: str = "") -> None:
        """Say whether the server can do its work; the exit code is 1 when it can't."""
        age = read_number(queue_age, name="--queue-age")
        try:
            answer = self._connect().call("health", queue_age=age)
        except Unhealthy as error:
            answer = {"healthy": False, **error.details}
            self.exit_code = REFUSED
        self._screen().show(answer, show_health(self._screen().painter, answer["checks"]))
