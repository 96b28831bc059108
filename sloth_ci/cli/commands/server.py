"""Commands about the server: its life, its state, its machine."""

from logging import DEBUG
from pathlib import Path

from sloth_ci import __version__
from sloth_ci.cli import life, passwords, state
from sloth_ci.cli.arguments import LEFT_OUT, WrongUsage, command
from sloth_ci.cli.commands.shared import REFUSED, Commands
from sloth_ci.cli.connection import find_config, read_database, read_settings
from sloth_ci.cli.first_steps import write_samples
from sloth_ci.errors import ServerUnreachable
from sloth_ci.render import count, printable


class ServerCommands(Commands):
    """Start it, stop it, look after it."""

    theme = "Server"

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
                f"Sloth CI {version} runs at {client.url}: {count(len(apps), 'app')},"
                f" {building or 'none'} building."
            ),
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
