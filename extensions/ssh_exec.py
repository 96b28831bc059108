"""`ssh_exec` runs every action of an app on other machines: on one host, or on many.

Each action goes to all hosts: one after another, or to all at the same time with `parallel: true`.
It fails if it fails on one of them, and the log says on which, with the exit code. Further hosts
are still asked, unless the action is `!critical` or the app says `stop_on_first_fail`: then the
first failure keeps the action from those that come after. Output arrives line by line; with several
hosts each line begins with the host's name.

A placeholder means the same as on this machine: its value is one word, never shell text. Values
come through the connection into the environment of the action (as `SLOTH_PARAM_…`, with the app's
`env` and `SLOTH_BUILD`), so no host has to allow variables, and none shows them in its list of
processes. The other side needs a POSIX shell, `head`, and for the end of an action `grep` and `tr`.

```yaml
listen_point: web
actions:
  - git pull && make
  - !critical sudo systemctl restart web
  - echo "deployed {commit}"
params: {commit: none}
exec_timeout: 300
extensions:
  machines:
    module: ssh_exec
    hosts: [ci@web1, ci@web2, "ci@[2001:db8::7]:2222"]
    key: /etc/sloth/id_ed25519
    host_keys:
      - web1,web2 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFtTQ3qdk9VK9q3AQGLu0ZFqY2mVEOMVNPD6LyZVVWdb
```

All that can be said:

```yaml
listen_point: deploy
actions: [make deploy]
extensions:
  machines:
    module: ssh_exec
    hosts: [web1, ci@web2:2222]     # one or a list: [user@]name[:port]
    parallel: true                  # false when not given: one after another
    user: ci                        # for hosts without a user of their own
    dir: /srv/web                   # where actions run; the user's home when not given
    password: {env: SLOTH_SSH_PASSWORD}
    agent: true                     # of the server's user, by SSH_AUTH_SOCK
    known_hosts: ~/.ssh/known_hosts # the default; host_keys are believed beside it
    unknown_hosts: refuse           # or accept
    connect_timeout: 10             # seconds
    keepalive: 15                   # seconds; three without an answer end the connection
  # key, passphrase: a private key's file, and {env: …} or {file: …} for an encrypted one
```

One of `key`, `agent` and `password` is needed. A host whose key is not known is refused, and the
message holds the line to add. With `unknown_hosts: accept` a host is taken at its word the first
time, which the log says, and must show the same key from then on.

When its time is over or the build is cancelled, an action gets TERM on its hosts, and KILL 5
seconds later: all of its processes, wherever they went. The same happens when the connection is
lost or the server dies, as soon as the host notices. What an action leaves behind in the background
ends with it, unless it is marked `!detach`. What can't be promised: a process that cleared its
environment lives on, or one that became another user's (by `sudo`, without a way back); a host that
can't be reached ends nothing until its own sshd notices (`ClientAliveInterval`), and the log says
that something may still run there; hosts without /proc, as BSD, end what is still in the action's
process group, and nothing that was put in the background. There is a connection for each action.

`user`, `limits` and `work_dir` of the app are about this machine. With the first two the actions
fail; `work_dir` means nothing here.

It needs the extra `ssh`: `pip install 'sloth-ci[ssh]'`.
"""

from concurrent.futures import ThreadPoolExecutor
from logging import CRITICAL, WARNING, getLogger
from pathlib import Path
from threading import Lock
from typing import Annotated

from paramiko.hostkeys import HostKeyEntry

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome
from sloth_ci.config import (
    Flag,
    OptionalFilled,
    PathText,
    Seconds,
    SecretText,
    Section,
    checked_by,
    one_of,
)
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.shell import Order, Orders

from ._ssh_host import (
    Access,
    Host,
    read_host_keys,
    read_hosts,
    read_private_key,
)
from ._ssh_session import Ended, Session

_KNOWN_HOSTS = "~/.ssh/known_hosts"
#: Hosts that are asked at the same time.
_AT_ONCE = 32


class SshOptions(Section):
    """Which hosts, how to get in, and whom to believe."""

    hosts: Annotated[tuple[Host, ...], checked_by(read_hosts)]
    parallel: Flag = False
    user: OptionalFilled = None
    dir: OptionalFilled = None
    key: PathText = ""
    passphrase: SecretText | None = None
    password: SecretText | None = None
    agent: Flag = False
    known_hosts: PathText = _KNOWN_HOSTS
    host_keys: Annotated[tuple[HostKeyEntry, ...], checked_by(read_host_keys)] = ()
    unknown_hosts: Annotated[str, one_of("refuse", "accept")] = "refuse"
    connect_timeout: Seconds = 10.0
    keepalive: Seconds = 15.0

    def check(self) -> None:
        """Refuse what gives no way in."""
        if not (self.key or self.agent or self.password):
            raise ValueError("needs a way to log in: 'key', 'agent: true' or 'password'")
        if self.passphrase and not self.key:
            raise ValueError("has a 'passphrase' and no 'key' that it is for")


class SshExec(Extension):
    """Opens a session for each action and host, and puts their ends together."""

    Options = SshOptions
    options: SshOptions

    def __init__(self, options: SshOptions, context: Context, *, grace: float = 5.0) -> None:
        super().__init__(options, context)
        self._grace = grace
        self._orders = Orders(where="on other machines")
        self._access = self._read_access()
        # What goes wrong is told in the build's log; the library's own words are for its authors.
        getLogger("paramiko").setLevel(CRITICAL)

    @hook
    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        """Run the action on the hosts."""
        order = self._orders.make(build, position, deadline, halt, journal)
        if isinstance(order, Outcome):
            return order
        sessions = self._open_sessions(order)
        if self.options.parallel and len(sessions) > 1:
            with ThreadPoolExecutor(min(len(sessions), _AT_ONCE), "ssh") as threads:
                ends = list(threads.map(lambda session: session.run(self._access), sessions))
        else:
            ends = self._run_in_order(order, sessions)
        return self._conclude(order, ends)

    def _open_sessions(self, order: Order) -> list[Session]:
        lock, hosts = Lock(), self.options.hosts
        return [
            Session(
                host,
                order,
                order.open_output(
                    prefix=f"[{host.text}] " if len(hosts) > 1 else "", parts=len(hosts)
                ),
                lock=lock,
                folder=self.options.dir,
                grace=self._grace,
            )
            for host in hosts
        ]

    def _run_in_order(self, order: Order, sessions: list[Session]) -> list[Ended]:
        build = order.build
        stops = build.stop_on_first_fail or build.actions[order.position].critical
        ends: list[Ended] = []
        for session in sessions:
            ends.append(session.run(self._access))
            if order.over() or (stops and ends[-1].exit_code != 0):
                break
        return ends

    def _conclude(self, order: Order, ends: list[Ended]) -> Outcome:
        for ended in ends:
            if ended.unsure:
                order.say(f"[{ended.host.text}] What the action started may still run there")
            elif ended.exit_code is None and not ended.trouble and len(self.options.hosts) > 1:
                order.say(f"[{ended.host.text}] The action did not end by itself")
        if any(ended.exit_code is None for ended in ends) and order.over():
            return order.broken_off()
        failed = [ended for ended in ends if ended.exit_code != 0]
        if not failed:
            return order.ended(0)
        reasons = [f"{ended.host.text}: {_describe(ended)}" for ended in failed]
        if left := self.options.hosts[len(ends) :]:
            reasons.append(f"not run on {', '.join(host.text for host in left)}")
        code = next((ended.exit_code for ended in failed if ended.exit_code), None)
        return order.failed("; ".join(reasons), exit_code=code)

    def _read_access(self) -> Access:
        options = self.options
        known_hosts = self.context.base_dir / Path(options.known_hosts).expanduser()
        if options.known_hosts != _KNOWN_HOSTS and not known_hosts.is_file():
            raise ValueError(f"'known_hosts' names a file that is not there: {known_hosts}")
        key = None
        if options.key:
            path = self.context.base_dir / Path(options.key).expanduser()
            key = read_private_key(path, options.passphrase)
        return Access(
            user=options.user,
            password=options.password,
            key=key,
            agent=options.agent,
            known_hosts=known_hosts,
            host_keys=options.host_keys,
            accepted=self._accepted,
            accept=self._accept if options.unknown_hosts == "accept" else None,
            timeout=options.connect_timeout,
            keepalive=options.keepalive,
        )

    def _accepted(self, host: Host) -> str | None:
        if self.options.unknown_hosts != "accept":
            return None
        return self.context.notes.get(f"host key of {host.known_as}")

    def _accept(self, host: Host, line: str) -> None:
        self.context.notes.set(f"host key of {host.known_as}", line)
        self.context.log(WARNING, f"The unknown host {host.text} is taken at its word: {line}")


def _describe(ended: Ended) -> str:
    return ended.trouble or f"exit code {ended.exit_code}"


EXTENSION = SshExec
