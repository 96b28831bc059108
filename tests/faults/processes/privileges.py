"""What a build knows, and what it may do: next to nothing of the server's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.durability.stage import Stage
from tests.faults.processes.measures import SOMEBODY, is_root, shared_folder

#: The names that docs/app-config.md promises, and those that shells make themselves.
ALLOWED = {"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR"}
SHELLS_OWN = {"PWD", "OLDPWD", "SHLVL", "_"}
PREFIXES = ("LC_", "SLOTH_")
SECRET = "hunter2-of-the-server"
#: What the server's environment has besides, and no build may see.
PLANTED = {"DATABASE_PASSWORD": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "LD_SLOTH": SECRET}


@experiment(
    "T25",
    title="The environment of a build",
    criterion="a build prints its environment: only names of the list in the docs, none of the"
    " server's secrets",
)
def print_environment(scale: Scale, folder: Path) -> Finding:
    """Plant secrets in the server's environment and let a build look for them."""
    with _planted(), Stage(folder) as stage:
        stage.api.create("listen_point: curious\nactions: [env]\nenv: {MINE: yes}\n")
        stage.api.trigger("curious", whom="world")
        stage.settle()
        lines = [
            line for (line,) in stage.rows("SELECT message FROM records WHERE stream IS NOT NULL")
        ]
    names = {line.partition("=")[0] for line in lines}
    foreign = {
        name for name in names - ALLOWED - SHELLS_OWN - {"MINE"} if not name.startswith(PREFIXES)
    }
    leaks = sum(SECRET in line for line in lines)
    return found(
        not (foreign or leaks) and {"MINE", "PATH", "SLOTH_PARAM_whom"} <= names,
        f"{len(names)} names, not listed: {', '.join(sorted(foreign)) or 'none'}; {leaks} of"
        f" {len(PLANTED)} planted secrets",
    )


@contextmanager
def _planted() -> Iterator[None]:
    os.environ.update(PLANTED)
    try:
        yield
    finally:
        for name in PLANTED:
            del os.environ[name]


@experiment(
    "T25 user",
    title="A build with `user`",
    criterion="it can't read or change the database or a config of mode 600, look into the server's"
    " process or signal it; the same build as root can",
)
def trespass(scale: Scale, folder: Path) -> Finding:
    """Let a build try all it should not be able to, as somebody else and as root."""
    if not is_root():
        return not_run("only a server that root starts can run builds as somebody else")
    # pytest's folders are closed to others as they are, which would prove nothing.
    with shared_folder() as place, Stage(place) as stage:
        (place / "server.yml").chmod(0o600)
        attempts = _attempts(place, stage.pid)
        succeeded = {user: _try_all(stage, user, attempts) for user in ("root", SOMEBODY)}
    allowed = succeeded[SOMEBODY]
    return found(
        not allowed and succeeded["root"] == set(attempts),
        f"{len(attempts)} attempts: {len(succeeded['root'])} succeed as root; as {SOMEBODY}"
        f" {', '.join(sorted(allowed)) or 'none'}",
    )


def _attempts(place: Path, server: int) -> dict[str, str]:
    """Commands that must not succeed, by what they try."""
    files = [place / name for name in ("sloth.db", "sloth.db-wal", "sloth.db-shm", "server.yml")]
    return {
        **{f"read {file.name}": f"cat {file}" for file in files},
        **{f"write {file.name}": f"(: >> {file})" for file in files},
        "make files beside the database": f"touch {place}/planted",
        "see the environment of the server": f"cat /proc/{server}/environ",
        "see the files of the server": f"ls /proc/{server}/fd",
        "see the memory of the server": f"cat /proc/{server}/maps",
        "signal the server": f"kill -0 {server}",
    }


def _try_all(stage: Stage, user: str, attempts: dict[str, str]) -> set[str]:
    """What that user's build succeeded in."""
    actions = (
        f"  - |\n    if {command} >/dev/null 2>&1; then echo '{what}'; fi"
        for what, command in attempts.items()
    )
    stage.api.create(
        "\n".join([f"listen_point: {user}", f"user: {user}", "work_dir: /", "actions:", *actions])
    )
    build = stage.api.trigger(user)
    stage.settle()
    printed = stage.rows(
        "SELECT message FROM records WHERE build = ? AND stream IS NOT NULL", build
    )
    return {line for (line,) in printed}
