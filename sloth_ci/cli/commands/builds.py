"""Commands about builds: start them, list them, act on them, find out why they failed."""

from sloth_ci.cli.arguments import (
    NO_WORD,
    NO_WORDS,
    WrongUsage,
    command,
    read_level,
    read_number,
    read_pages,
    read_params,
)
from sloth_ci.cli.commands.shared import REFUSED, Commands, Done
from sloth_ci.cli.options import APP, BUILD, PAGES, PARAMS, SINCE
from sloth_ci.client import Client
from sloth_ci.errors import BuildNotFound
from sloth_ci.render import Record
from sloth_ci.render.builds import (
    show_build,
    show_builds,
    show_explanation,
    show_preview,
)

#: The states of builds whose newest history record has at least that level.
_STATUSES = {
    10: (),
    20: ("complete", "partial", "failed", "timed_out", "cancelled", "interrupted"),
    30: ("partial", "failed", "timed_out", "cancelled", "interrupted"),
    40: ("failed", "timed_out"),
}
_LEVEL_NAMES = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}
#: Seconds that one answer is waited for; less than the client's patience.
_WAIT = 20
_WAITING = "follow the build to its end; the exit code tells how it ended"
_WHICH = "a build's number, or a listen point for its newest build"


class NoBuilds(BuildNotFound):
    """The app '{listen_point}' has no builds."""


class BuildCommands(Commands):
    """Start builds, follow them, find out why they failed."""

    theme = "Builds"

    @command(
        "run",
        "fire",
        short="pw",
        about={
            "listen_point": APP,
            "params": PARAMS,
            "wait": "show the build's log until it ends; the exit code tells how",
        },
    )
    def trigger(self, listen_point: str, params: list[str] = NO_WORDS, wait: bool = False) -> None:
        """Queue a build of an app."""
        given = read_params(params)
        client = self._connect()
        build_id = client.trigger(listen_point, given)
        self._conclude_queued(client, listen_point, {"build": build_id}, wait=wait)

    @command(
        short="ftplvb",
        about={
            **PAGES,
            "listen_point": "an app's listen point; all apps without it",
            "status": "only with that status, such as failed or running; may be repeated",
            "branch": "only of that branch",
            "since": SINCE,
            "level": "only those that ended at least as badly: info, warning or error",
        },
    )
    def builds(
        self,
        listen_point: str = NO_WORD,
        status: list[str] = NO_WORDS,
        branch: str = "",
        since: str = "",
        from_page: str = "",
        to_page: str = "",
        per_page: str = "",
        level: str = "",
        verbose: bool = False,
    ) -> None:
        """List builds, the newest first."""
        pages = read_pages(from_page=from_page, to_page=to_page, per_page=per_page)
        states = status or _states(read_level(level))
        found = self._connect().call(
            "builds",
            listen_point=listen_point or None,
            status=states,
            branch=branch or None,
            since=since or None,
            **pages,
        )["builds"]
        table = show_builds(self._screen().painter, found, detailed=verbose)
        self._screen().show(
            [{**_history_record(build), **build} for build in found],
            table if found else "No builds.",
        )

    @command(short="w", about={"build": _WHICH, "wait": "wait until it ended"})
    def build(self, build: str, wait: bool = False) -> None:
        """Show all about one build."""
        client = self._connect()
        found = client.call("build", id=self._find_build(client, build))
        while wait and not _is_final(found):
            found = client.call("build", id=found["id"], wait=_WAIT)
        self._screen().show(found, show_build(self._screen().painter, found))
        if wait and found["status"] != "complete":
            self.exit_code = REFUSED

    @command(about={"build": _WHICH})
    def explain(self, build: str) -> None:
        """Say why a build failed, what has changed, and what to do."""
        client = self._connect()
        answer = client.call("explain", build=self._find_build(client, build))
        self._screen().show(answer, show_explanation(self._screen().painter, answer))

    @command(about={"builds": BUILD})
    def cancel(self, builds: list[str]) -> None:
        """Cancel builds that wait or run."""
        numbers = [_read_build(word) for word in builds]
        client = self._connect()

        def cancel_one(number: str) -> Done:
            build = client.call("cancel", build=int(number))
            return build, _tell_cancelled(build)

        self._do_each(map(str, numbers), cancel_one)

    @command(
        short="w",
        about={
            "build": BUILD,
            "current": "with the app's config of now, not the one that the build had",
            "wait": _WAITING,
        },
    )
    def rerun(self, build: str, current: bool = False, wait: bool = False) -> None:
        """Queue a build again, with the same params."""
        number = _read_build(build)
        client = self._connect()
        queued = client.rerun(number, config="current" if current else "stored")
        listen_point = client.call("build", id=queued)["listen_point"]
        value = {"build": queued, "rerun_of": number}
        self._conclude_queued(client, listen_point, value, wait=wait)

    @command(short="p", about={"listen_point": APP, "params": PARAMS})
    def preview(self, listen_point: str, params: list[str] = NO_WORDS) -> None:
        """Show what a trigger would run, without running it."""
        answer = self._connect().preview(listen_point, read_params(params))
        self._screen().show(answer, show_preview(self._screen().painter, answer))

    @command("hist", short="ftplv", about=PAGES)
    def history(
        self,
        listen_point: str,
        from_page: str = "",
        to_page: str = "",
        per_page: str = "",
        level: str = "",
        verbose: bool = False,
    ) -> None:
        """Show how an app's builds went, the newest first."""
        pages = read_pages(from_page=from_page, to_page=to_page, per_page=per_page)
        painter = self._screen().painter
        paint = painter.detailed_history if verbose else painter.history
        self._show_records("history", listen_point, paint, **pages, level=read_level(level))

    def _find_build(self, client: Client, word: str) -> int:
        """The number that the word is, or that of the newest build of the app that it names."""
        if word.isascii() and word.isdecimal():
            return _read_build(word)
        found = client.call("builds", listen_point=word, per_page=1)["builds"]
        if not found:
            raise NoBuilds(listen_point=word)
        return int(found[0]["id"])


def _read_build(word: str) -> int:
    number = read_number(word, name="BUILD")
    if number is None:
        raise WrongUsage("BUILD takes a whole number from 1, not ''")
    return number


def _states(level: int | None) -> tuple[str, ...]:
    """Those whose newest history record has at least that level."""
    if level is None or level <= 10:
        return ()
    return next((states for least, states in _STATUSES.items() if level <= least), _STATUSES[40])


def _history_record(build: Record) -> Record:
    """What `history` has of a build's newest state: scripts read it of `builds`, too."""
    return {
        "timestamp": build["finished"] or build["queued"],
        "logger_name": f"{build['listen_point']}.build",
        "level_name": _LEVEL_NAMES[build["level"]],
        "level_number": build["level"],
        "build": build["id"],
    }


def _is_final(build: Record) -> bool:
    return build["status"] not in ("queued", "running")


def _tell_cancelled(build: Record) -> str:
    name = f"Build {build['id']} of {build['listen_point']}"
    if build["status"] == "cancelled":
        return f"{name} is cancelled."
    if _is_final(build):
        return f"{name} had ended before: {build['message']}."
    return f"{name} is being ended."
