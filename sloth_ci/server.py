"""The server's life: start, restart, stop; foreground or daemon."""

import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import cherrypy
from cherrypy.process.servers import ServerAdapter

from sloth_ci import __version__
from sloth_ci.api import ACTIONS, Server
from sloth_ci.bed import Bed
from sloth_ci.config import ServerConfig, load_server
from sloth_ci.errors import ConfigInvalid, PortTaken, SlothError
from sloth_ci.executors import ThreadExecutor
from sloth_ci.extension.finding import find_server_options
from sloth_ci.journal import Journal
from sloth_ci.logs import open_logs
from sloth_ci.shell import Guardian, ShellRunner, become_subreaper, end_leftovers
from sloth_ci.store import Keep, Store
from sloth_ci.web import Site
from sloth_ci.web.origin import is_loopback
from sloth_ci.web.tls import open_tls
from sloth_ci.web.wire import WireServer

LOG = logging.getLogger("sloth_ci.server")

#: Requests answered at the same time.
THREADS = 20
#: Connections that wait for one of them, in the kernel.
BACKLOG = 512
#: Files that the server has open beside connections, builds included.
FILES = 1_024
#: systemd's socket activation: the listening socket is this descriptor. So is ours over a restart.
INHERITED = 3
#: Where a starting daemon writes one line for the command that started it.
READY_FD = "SLOTH_READY_FD"


class Order(Enum):
    """What the server may be told to do with its life."""

    STOP = "stop"
    RESTART = "restart"
    DRAINED = "drained"


#: What the server does at a signal.
ORDERS: dict[int, Order] = {
    signal.SIGTERM: Order.STOP,
    signal.SIGINT: Order.STOP,
    signal.SIGHUP: Order.RESTART,
}


class Life:
    """One run of the server, from the config to the last answer."""

    def __init__(self, config: ServerConfig, guardian: Guardian) -> None:
        self._socket = _listen(config)
        address = str(self._socket.getsockname()[0])
        _check_exposure(config, address)
        self._tls = (
            open_tls(config.path(config.tls.certificate), config.path(config.tls.key))
            if config.tls
            else None
        )
        self._config = config
        self._orders: SimpleQueue[Order] = SimpleQueue()
        paths = config.paths
        self._store = Store(
            config.path(paths.db) if paths.db else None,
            max_queue=config.max_queue,
            max_queue_total=config.max_queue_total,
            keep=Keep(config.keep.days, config.keep.builds, config.keep.size),
        )
        token = self._store.token
        guardian.tell(token)
        if ended := end_leftovers(token):
            LOG.warning("Ended %s processes that the last server's builds had left", ended)
        journal = Journal(self._store)
        self._site = site = Site(config, cherrypy.tree, bound_to=address)
        self._bed = Bed(
            store=self._store,
            journal=journal,
            base_dir=config.base_dir,
            run_action=ShellRunner(token=token),
            make_executor=lambda run: ThreadExecutor(run, max_builds=config.max_builds),
            on_add=lambda app: site.mount(self._bed, app),
            on_remove=site.unmount,
            server=config,
        )
        further = self._bed.further_actions(ACTIONS)
        site.open(Server(bed=self._bed, store=self._store, life=self, further=further))

    def ask_restart(self) -> None:
        """Restart as soon as this request is answered."""
        self._orders.put(Order.RESTART)

    def ask_stop(self) -> None:
        """Stop as soon as this request is answered."""
        self._orders.put(Order.STOP)

    def run(self) -> socket.socket | None:
        """Serve until told to end; gives the listening socket when a restart is wanted.

        While the server restarts, callers wait in that socket's queue.
        """
        become_subreaper()
        self._listen_to_signals()
        order = Order.STOP
        try:
            self._bed.load(tuple(str(self._config.path(one)) for one in self._config.paths.configs))
            _allow_files(self._config.max_connections)
            _spare_collector()
            _start_engine(self._make_web_server)
            self._tell_ready()
            order = self._orders.get()
            self._drain(order)
        finally:
            cherrypy.engine.exit()
            self._bed.close()
            self._store.close()
        LOG.info("Stopped" if order is Order.STOP else "Restarting")
        return self._socket if order is Order.RESTART else None

    def _make_web_server(self) -> WireServer:
        return WireServer(
            self._socket.dup(),
            self._config,
            tls=self._tls,
            subscribe=self._store.subscribe,
            find_desk=self._site.find_desk,
        )

    def _tell_ready(self) -> None:
        line = f"Sloth CI {__version__} listens on {self._url()}"
        LOG.info("%s", line)
        _tell_starter(line)

    def _drain(self, order: Order) -> None:
        """Let running builds end, with requests answered meanwhile; a second order ends them."""
        executor = self._bed.executor
        if order is Order.STOP:
            self._bed.stop_taking()
        LOG.info("Told to %s; running builds get %g s", order.value, self._config.stop_grace)
        drain = Thread(target=self._wait_for_builds, name="drain", daemon=True)
        drain.start()
        while self._orders.get() is not Order.DRAINED:
            if isinstance(executor, ThreadExecutor):
                executor.interrupt()
        drain.join()

    def _wait_for_builds(self) -> None:
        self._bed.executor.stop(self._config.stop_grace)
        self._orders.put(Order.DRAINED)

    def _url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def _listen_to_signals(self) -> None:
        """Take signals for orders.

        Through a pipe: Python runs handlers on the main thread only, and does not wake it when
        the system gave the signal to another one.
        """
        heard, told = os.pipe()
        os.set_blocking(told, False)
        for number in ORDERS:
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        Thread(target=self._hear, args=(heard,), name="signals", daemon=True).start()

    def _hear(self, pipe: int) -> None:
        while True:
            for number in os.read(pipe, 64):
                if order := ORDERS.get(number):
                    self._orders.put(order)


def serve(config_file: Path, *, screen: bool) -> None:
    """Run the server until it is stopped; a restart replaces the process by a new one.

    Raises SlothError when it can't start.
    """
    config = load_server(config_file, find_extension=find_server_options)
    paths = config.paths
    open_logs(
        access_log=config.path(paths.access_log) if paths.access_log else None,
        error_log=config.path(paths.error_log) if paths.error_log else None,
        screen=screen,
    )
    guardian = Guardian()
    try:
        inherited = Life(config, guardian).run()
    finally:
        guardian.dismiss()
    if inherited is not None:
        _replace_process(config_file, inherited, screen=screen)


def main(arguments: list[str] | None = None) -> None:
    """`python -m sloth_ci.server CONFIG [--quiet]`: what `sci start` runs."""
    given = sys.argv[1:] if arguments is None else arguments
    screen = "--quiet" not in given
    try:
        serve(Path(given[0]), screen=screen)
    except (SlothError, OSError) as error:
        if not screen:
            LOG.error("%s", error)
        _tell_starter(f"error: {error}")
        sys.exit(f"sci: {error}")


def _check_exposure(config: ServerConfig, address: str) -> None:
    if is_loopback(address):
        return
    if config.api_auth:
        if not config.tls:
            LOG.warning(
                "Logins and secrets travel in the clear to %s: set 'tls', or use host 127.0.0.1"
                " behind a proxy that speaks HTTPS",
                address,
            )
        return
    raise ConfigInvalid(
        text=f"host {address} can be reached by others, and there is no 'api_auth':"
        " set a login and password, or use host 127.0.0.1"
    )


def _listen(config: ServerConfig) -> socket.socket:
    """The listening socket: inherited from systemd or from ourselves, else a new one."""
    if os.environ.pop("LISTEN_PID", "") == str(os.getpid()):
        return socket.socket(fileno=INHERITED)
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PortTaken(host=config.host, port=config.port, reason=reason) from error


def _allow_files(connections: int) -> None:
    """Let that many connections be open beside all else, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _spare_collector() -> None:
    """Keep the garbage collector from going through all that the start has made.

    While it does, everything stands still: for 50 ms without an app, for longer with many.
    """
    gc.collect()
    gc.freeze()


def _start_engine(make_server: Callable[[], WireServer]) -> None:
    # A server reads this when it is made.
    cherrypy.config.update(
        {
            "server.thread_pool": THREADS,
            "server.max_request_body_size": 0,
            "server.socket_queue_size": BACKLOG,
            "server.shutdown_timeout": 2,
            "engine.autoreload.on": False,
            "checker.on": False,
            "log.screen": False,
        }
    )
    cherrypy.engine.autoreload.unsubscribe()
    cherrypy.server.unsubscribe()
    ServerAdapter(cherrypy.engine, make_server()).subscribe()
    cherrypy.engine.start()


def _replace_process(config_file: Path, inherited: socket.socket, *, screen: bool) -> None:
    logging.shutdown()  # before the descriptor of a log becomes the socket's
    os.dup2(inherited.fileno(), INHERITED, inheritable=True)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    command = [sys.executable, "-P", "-m", "sloth_ci.server", str(config_file)]
    os.execv(sys.executable, command if screen else [*command, "--quiet"])  # noqa: S606


def _tell_starter(line: str) -> None:
    """Say it to the command that started a daemon and waits for this line."""
    waiting = os.environ.pop(READY_FD, None)
    if waiting is not None:
        with os.fdopen(int(waiting), "w", encoding="utf-8") as pipe:
            pipe.write(line + "\n")


if __name__ == "__main__":
    main()
