"""The commands of `sci`: each asks the server and shows what it says."""

import sys
from collections.abc import Callable, Iterable
from logging import DEBUG
from pathlib import Path
from typing import Any

from sloth_ci import __version__
from sloth_ci.cli import life, passwords, state
from sloth_ci.cli.arguments import (
    LEFT_OUT,
    NO_WORDS,
    CommandLine,
    WrongUsage,
    command,
    read_level,
    read_pages,
    read_params,
)
from sloth_ci.cli.connection import Options, connect, find_config, read_database, read_settings
from sloth_ci.cli.creating import create, unfold
from sloth_ci.cli.first_steps import write_samples
from sloth_ci.cli.following import follow, is_complete
from sloth_ci.cli.options import APP, GLOBALS, PAGES, PAGES_SHOWN
from sloth_ci.cli.screen import JsonScreen, Screen
from sloth_ci.client import Client
from sloth_ci.errors import (
    LoginRequired,
    ServerUnreachable,
    SlothError,
    UnexpectedAnswer,
)
from sloth_ci.render import Record, printable

#: Exit codes: done, refused or failed, wrong usage, no server there.
DONE, REFUSED, MISUSED, NOBODY = 0, 1, 2, 3

#: What a script and what a person get to know of one thing that was done.
Done = tuple[Any, str]
#: Errors that all further requests would meet as well.
_HOPELESS = (ServerUnreachable, UnexpectedAnswer, LoginRequired)


class Sci(CommandLine):
    """Sloth CI: a lightweight CI server.

    Exit codes: 0 done, 1 refused or the build failed, 2 wrong usage, 3 no server there.
    The server is that of --url, of the environment variable SLOTH_URL, or of the config;
    the login that of SLOTH_LOGIN and SLOTH_PASSWORD, or of the config.
    """

    exit_code = DONE

    @command(short="cv", about=GLOBALS, shown={"config": "FILE", "url": "URL"})
    def _root(
        self, config: str = "", url: str = "", json: bool = False, version: bool = False
    ) -> None:
        if version:
            print(f"sci {__version__}")
            return
        self._parser.print_help(sys.stderr)
        self.exit_code = MISUSED

    @command(about={"folder": "where to (default: this folder)"}, shown={"folder": "FOLDER"})
    def init(self, folder: list[str] = LEFT_OUT) -> None:
        """Write a server's config with a new password, and a sample app."""
        if len(folder) > 1:
            raise WrongUsage("init takes one folder")
        where = folder[0] if folder else "."
        files = write_samples(Path(where))
        self._screen().show(
            {"files": [str(file) for file in files]},
            printable(f"Wrote {files[0]} (with a password of its own) and {files[1]}.")
            + "\nNext:"
            + ("" if where == "." else f"\n  cd {printable(where)}")
            + "\n  sci start                 # the server; it ends with Ctrl-C"
            "\n  sci trigger sample -w     # in another terminal",
        )

    @command(short="d", about={"daemon": "in the background, as with 'daemon: true'"})
    def start(self, daemon: bool = False) -> None:
        """Start the server."""
        file = find_config(self._options())
        if daemon or read_settings(file).daemon:
            line = life.start_detached(file)
            self._screen().show({"started": line}, printable(line))
        else:
            life.run_server(file)

    @command()
    def stop(self) -> None:
        """Stop the server, and wait until it is gone."""
        client = self._connect()
        life.stop(client, self._screen().warn)
        self._screen().show({"running": False}, printable(f"The server at {client.url} stopped."))

    @command()
    def restart(self) -> None:
        """Restart the server, and wait until it is back."""
        client = self._connect()
        life.restart(client, self._screen().warn)
        self._screen().show({"running": True}, printable(f"The server at {client.url} restarted."))

    @command("stat", "st")
    def status(self) -> None:
        """Say whether the server runs; the exit code is 3 when it does not."""
        client = self._connect()
        try:
            version, apps = client.call("version"), client.call("info")
        except ServerUnreachable:
            self._screen().conclude({"running": False, "url": client.url})
            raise
        building = sum(app["last_build_status_level"] == DEBUG for app in apps)
        self._screen().show(
            {
                "running": True,
                "url": client.url,
                "version": version,
                "apps": len(apps),
                "apps_building": building,
            },
            printable(
                f"Sloth CI {version} runs at {client.url}: {_count(len(apps), 'app')},"
                f" {building or 'none'} building."
            ),
        )

    @command("add", about={"paths": "config files of apps"}, shown={"paths": "FILE"})
    def create(self, paths: list[str]) -> None:
        """Create apps from config files, and bind them with these files."""
        client = self._connect()
        self._do_each(unfold(paths), lambda path: self._create(client, path))

    @command("rm", "del", about={"listen_points": APP}, shown={"listen_points": "LISTEN_POINT"})
    def remove(self, listen_points: list[str]) -> None:
        """Remove apps; their history stays."""
        client = self._connect()

        def remove_one(name: str) -> Done:
            client.call("remove", listen_point=name)
            return name, f"Removed {name}."

        self._do_each(listen_points, remove_one)

    @command(
        "run",
        "fire",
        short="pw",
        about={
            "listen_point": APP,
            "params": "values for the actions' placeholders, as name=value",
            "wait": "show the build's log until it ends; the exit code tells how",
        },
        shown={"listen_point": "LISTEN_POINT", "params": "NAME=VALUE"},
    )
    def trigger(self, listen_point: str, params: list[str] = NO_WORDS, wait: bool = False) -> None:
        """Queue a build of an app."""
        given = read_params(params)
        client = self._connect()
        build_id = client.trigger(listen_point, given)
        if not wait:
            self._screen().show(
                {"build": build_id}, printable(f"Build {build_id} of {listen_point} is queued.")
            )
            return
        self._screen().say(printable(f"Build {build_id} of {listen_point}"))
        for record in follow(client, listen_point, build_id):
            self._screen().say(self._screen().painter.line(record))
            end = record
        self._screen().conclude({"build": build_id, "end": end})
        self.exit_code = DONE if is_complete(end) else REFUSED

    @command(about={"listen_points": APP}, shown={"listen_points": "LISTEN_POINT"})
    def info(self, listen_points: list[str] = LEFT_OUT) -> None:
        """Show apps and their last builds; all apps if none is named."""
        apps = self._connect().call("info", listen_points=listen_points)
        none = "There are no apps; 'sci create FILE' makes one."
        self._screen().show(apps, self._screen().painter.info(apps) if apps else none)

    @command("ls", name="list")
    def list_apps(self) -> None:
        """List the listen points of all apps."""
        names = self._connect().call("list")
        for name in names:
            self._screen().say(printable(name))
        self._screen().conclude(names)

    @command("lg", short="ftplv", about=PAGES, shown=PAGES_SHOWN)
    def logs(
        self,
        listen_point: str,
        from_page: str = "",
        to_page: str = "",
        per_page: str = "",
        level: str = "",
        verbose: bool = False,
    ) -> None:
        """Show an app's log, the newest records first."""
        pages = read_pages(from_page=from_page, to_page=to_page, per_page=per_page)
        painter = self._screen().painter
        paint = painter.detailed_logs if verbose else painter.logs
        self._show_records("logs", listen_point, paint, **pages, level=read_level(level))

    @command("hist", "builds", short="ftplv", about=PAGES, shown=PAGES_SHOWN)
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

    @command("update", "up", about={"listen_points": APP}, shown={"listen_points": "LISTEN_POINT"})
    def reload(self, listen_points: list[str] = LEFT_OUT) -> None:
        """Read apps' config files again; of all bound apps if none is named."""
        client = self._connect()
        names = listen_points or [
            app["listen_point"] for app in client.call("info") if app["config_file"]
        ]
        if not names:
            self._screen().warn("no app is bound with a config file, so there is nothing to read")

        def update(name: str) -> Done:
            client.call("update", listen_point=name)
            return name, f"Updated {name}."

        self._do_each(names, update)

    @command(
        about={"listen_point": APP, "config_file": "the file, on the server's machine"},
        shown={"listen_point": "LISTEN_POINT", "config_file": "FILE"},
    )
    def bind(self, listen_point: str, config_file: str) -> None:
        """Bind an app with the config file that it was created from."""
        file = str(Path(config_file).absolute())
        self._connect().call("bind", listen_point=listen_point, config_file=file)
        self._screen().show(
            {"listen_point": listen_point, "config_file": file},
            printable(f"Bound {listen_point} with {file}."),
        )

    @command()
    def version(self) -> None:
        """Show the version of sci and of the server."""
        self._screen().say(f"sci {__version__}")
        client = self._connect()
        version = client.call("version")
        self._screen().say(printable(f"server {version} at {client.url}"))
        self._screen().conclude({"client": __version__, "server": version, "url": client.url})

    @command(about={"file": "where to; it must not be there yet"}, shown={"file": "FILE"})
    def backup(self, file: str) -> None:
        """Copy the server's state to a file, while builds run or not."""
        saved = state.save(self._find_database(), Path(file))
        self._screen().show(
            {**saved._asdict(), "file": str(saved.file)}, printable(f"Saved {saved}.")
        )

    @command(about={"file": "a backup"}, shown={"file": "FILE"})
    def restore(self, file: str) -> None:
        """Put a backup in the place of the server's state; the server must not run."""
        restored, aside = state.put_back(Path(file), self._find_database())
        kept = f" What was there before is kept as {aside}." if aside else ""
        self._screen().show(
            {
                **restored._asdict(),
                "file": str(restored.file),
                "kept": str(aside) if aside else None,
            },
            printable(f"Restored {restored}.{kept}"),
        )

    @command()
    def doctor(self) -> None:
        """Check the server's config, state and machine; the exit code is 1 for a problem."""
        file = find_config(self._options())
        found = state.examine(file, lambda: str(self._connect().call("version")))
        self._screen().show(found, self._screen().painter.findings(found))
        if any(one["state"] == "problem" for one in found):
            self.exit_code = REFUSED

    @command(name="hash-password")
    def hash_password(self) -> None:
        """Print the hash of a password, typed or from stdin, for the server's config."""
        hashed = passwords.hash_password(passwords.ask_password())
        self._screen().show({"hash": hashed}, hashed)

    def _find_database(self) -> Path:
        return read_database(find_config(self._options()))

    def _options(self) -> Options:
        return Options(config=self.global_args["config"], url=self.global_args["url"])

    def _screen(self) -> Screen:
        return JsonScreen() if self.global_args["json"] else Screen()

    def _connect(self) -> Client:
        return connect(self._options())

    def _show_records(
        self,
        action: str,
        listen_point: str,
        paint: Callable[[list[Record]], str],
        **params: int | None,
    ) -> None:
        records = self._connect().call(action, listen_point=listen_point, **params)
        self._screen().show(records, paint(records) if records else "No records.")

    def _do_each(self, names: Iterable[str], do_one: Callable[[str], Done]) -> None:
        """Do it for each name; one that fails is told of and doesn't keep the others from it."""
        values = []
        for name in names:
            try:
                value, sentence = do_one(name)
            except _HOPELESS:
                raise
            except SlothError as error:
                self._screen().warn(f"{name}: {error}")
                self.exit_code = REFUSED
                continue
            values.append(value)
            self._screen().say(printable(sentence))
        self._screen().conclude(values)

    def _create(self, client: Client, path: str) -> Done:
        created = create(client, path)
        value = {
            "listen_point": created.listen_point,
            "config_file": created.file if created.bound else None,
        }
        if created.bound:
            return value, f"Created {created.listen_point}, bound with {created.file}."
        self._screen().warn(f"{path}: created, not bound: the server has no file {created.file}")
        return value, f"Created {created.listen_point}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
