"""The server's life as `sci` sees it: start it, and wait until it is gone or back."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGPIPE
from time import monotonic, sleep

from sloth_ci.client import Client
from sloth_ci.errors import ServerUnreachable, SlothError, UnexpectedAnswer

#: Where the starting server writes the line that it is ready, or why it is not.
READY_FD = "SLOTH_READY_FD"
#: Seconds between two looks.
PAUSE = 0.1
#: Seconds after which a person wants to know why it takes so long.
SOON = 2.0
#: Seconds that running builds and the server's own end may take.
LIMIT = 600.0


class NotStarted(SlothError):
    """The server did not start: {reason}"""


class StillThere(SlothError):
    """The server at {url} was asked to {order} but did not within {limit:g} s; its log says why."""


def run_server(config_file: Path) -> None:
    """Run the server in this process, to its end."""
    from sloth_ci import server

    server.main([str(config_file)])


def start_detached(config_file: Path) -> str:
    """Start the server as a process of its own, away from this terminal; gives its first line.

    Raises NotStarted.
    """
    ready, waiting = os.pipe()
    os.set_inheritable(waiting, True)
    devnull = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "sloth_ci.server", str(config_file), "--quiet"],
        {**os.environ, READY_FD: str(waiting)},
        file_actions=devnull,
        setsid=True,
        setsigdef=[SIGPIPE],
    )
    os.close(waiting)
    with os.fdopen(ready, encoding="utf-8", errors="replace") as pipe:
        line = pipe.readline().rstrip("\n")
    if not line:
        raise NotStarted(reason="it ended without a word; 'sci start' in the foreground shows why")
    if line.startswith("error: "):
        raise NotStarted(reason=line.removeprefix("error: "))
    return line


def stop(client: Client, tell: Callable[[str], None]) -> None:
    """Ask the server to stop and wait until it is gone; `tell` is called when that takes long.

    Raises what `Client.call` raises, and StillThere.
    """
    client.call("stop")
    _wait("stop", client, lambda: not _answers(client), tell)


def restart(client: Client, tell: Callable[[str], None]) -> None:
    """Ask the server to restart and wait until it is back; `tell` is called when that takes long.

    Raises what `Client.call` raises, and StillThere.
    """
    client.call("restart")
    before = client.connections
    _wait("restart", client, lambda: _is_another(client, before), tell)


def _is_another(client: Client, before: int) -> bool:
    """Whether another process answers than the one the first `before` connections led to.

    The old server closes its connections when it ends, and one that it takes after that is good
    for a single answer; so a new connection that gives two of them leads to the new server.
    """
    if not _answers(client) or client.connections == before:
        return False
    made = client.connections
    return _answers(client) and client.connections == made


def _wait(
    order: str, client: Client, is_done: Callable[[], bool], tell: Callable[[str], None]
) -> None:
    start = monotonic()
    told = False
    while not is_done():
        passed = monotonic() - start
        if passed > LIMIT:
            raise StillThere(url=client.url, order=order, limit=LIMIT)
        if passed > SOON and not told:
            told = True
            tell(f"waiting for running builds to end before the {order}")
        sleep(PAUSE)


def _answers(client: Client) -> bool:
    try:
        client.call("version")
    except ServerUnreachable:
        return False
    except UnexpectedAnswer:
        raise
    except SlothError:
        return True  # a refusal is an answer, such as that of a new config with other logins
    return True
