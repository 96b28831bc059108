"""Commands about apps."""

from pathlib import Path

from sloth_ci.cli.arguments import LEFT_OUT, NO_WORD, command
from sloth_ci.cli.commands.shared import Commands, Done
from sloth_ci.cli.creating import create, unfold
from sloth_ci.cli.options import APP
from sloth_ci.client import Client
from sloth_ci.render import printable

_OR_SERVER = "the app's listen point; the whole server without it"


class AppCommands(Commands):
    """Make them, look at them, change them."""

    theme = "Apps"

    @command("add", about={"paths": "config files of apps"}, shown={"paths": "FILE"})
    def create(self, paths: list[str]) -> None:
        """Create apps from config files, and bind them with these files."""
        client = self._connect()
        self._do_each(unfold(paths), lambda path: self._create(client, path))

    @command("rm", "del", about={"listen_points": APP})
    def remove(self, listen_points: list[str]) -> None:
        """Remove apps; their history stays."""
        client = self._connect()

        def remove_one(name: str) -> Done:
            client.call("remove", listen_point=name)
            return name, f"Removed {name}."

        self._do_each(listen_points, remove_one)

    @command("ls", name="list")
    def list_apps(self) -> None:
        """List the listen points of all apps."""
        names = self._connect().call("list")
        for name in names:
            self._screen().say(printable(name))
        self._screen().conclude(names)

    @command(about={"listen_points": APP})
    def info(self, listen_points: list[str] = LEFT_OUT) -> None:
        """Show apps and their last builds; all apps if none is named."""
        apps = self._connect().call("info", listen_points=listen_points)
        none = "There are no apps; 'sci create FILE' makes one."
        self._screen().show(apps, self._screen().painter.info(apps) if apps else none)

    @command("update", "up", about={"listen_points": APP})
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
        shown={"config_file": "FILE"},
    )
    def bind(self, listen_point: str, config_file: str) -> None:
        """Bind an app with the config file that it was created from."""
        file = str(Path(config_file).absolute())
        self._connect().call("bind", listen_point=listen_point, config_file=file)
        self._screen().show(
            {"listen_point": listen_point, "config_file": file},
            printable(f"Bound {listen_point} with {file}."),
        )

    @command(
        short="r",
        about={"listen_point": _OR_SERVER, "reason": "why, for whoever wonders"},
    )
    def pause(self, listen_point: str = NO_WORD, reason: str = "") -> None:
        """Start no more builds of an app, or of any; those that come wait."""
        answer = self._connect().call(
            "pause", listen_point=listen_point or None, reason=reason or None
        )
        self._screen().show(answer, printable(f"{_name(listen_point)} is paused; builds wait."))

    @command(about={"listen_point": _OR_SERVER})
    def resume(self, listen_point: str = NO_WORD) -> None:
        """Start builds again."""
        answer = self._connect().call("resume", listen_point=listen_point or None)
        self._screen().show(answer, printable(f"{_name(listen_point)} is not paused any more."))

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


def _name(listen_point: str) -> str:
    return listen_point or "The server"
