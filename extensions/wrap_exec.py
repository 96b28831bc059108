"""`wrap_exec` runs every action of an app through another command: in a jail, or as somebody else.

The command is what stands before a program's name on a command line: `bwrap …`, `lxc exec web --`,
`vzctl exec 101`, `sudo -u ci`. It is started without a shell of its own, and gets the whole action
as one program: `/bin/sh -c` and the action's text, so that `a && b` runs both behind the command,
and never `b` in front of it. Output, exit code, timeouts, cancelling, `limits` and the app's `user`
are as for any action; what the command starts on this machine ends with the action.

Values of placeholders are in the environment, as ever. Most commands pass that on. For those that
start with an empty one (`sudo`, `lxc exec`), `environment: env` sets the variables inside instead,
with `env NAME=VALUE …` in front of the shell; everybody on the machine can see them there in the
list of processes for as long as the action runs. The variables are the params, the app's `env` and
the `SLOTH_` ones.

Some commands take no program but a text, which a shell reads on the other side: `vzctl exec` and
`su -c` do. For these `takes: text`: the program and its arguments are quoted for that shell.

```yaml
listen_point: web
work_dir: /srv/web
actions:
  - make test && make install
  - echo "installed {branch}"
params: {branch: main}
extensions:
  jail:
    module: wrap_exec
    command: >-
      bwrap --ro-bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent
      --bind /srv/web /srv/web
```

A container of OpenVZ, with all that can be said:

```yaml
listen_point: web
actions:
  - service web restart && service web status
extensions:
  container:
    module: wrap_exec
    command: [vzctl, exec, "101"]  # a list, or a text that is split as a shell would
    takes: text                    # arguments (the default) or text
    environment: env               # keep (the default) or env
    shell: /bin/bash               # on the other side; /bin/sh when not given
```

The command itself is no shell text, and has no placeholders.
"""

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from sloth_ci.builds import Build, BuildJournal, Halt, Outcome
from sloth_ci.config import Filled, Section, checked_by, one_of
from sloth_ci.extension import Context, Extension, hook


def read_command(value: Any) -> tuple[str, ...]:
    """A program and its arguments: a list of texts, or one text to split."""
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as error:
            reason = str(error)[:1].lower() + str(error)[1:]
            raise ValueError(f"must be a command such as 'sudo -u ci', and has {reason}") from error
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        words = value
    else:
        raise ValueError("must be a command such as 'sudo -u ci', or a list of its words")
    if not words or not words[0]:
        raise ValueError("must be a command such as 'sudo -u ci', and is empty")
    if any("\0" in word for word in words):
        raise ValueError("must be a command without a NUL character")
    return tuple(words)


class WrapOptions(Section):
    """The command, and what it makes of what it is given."""

    command: Annotated[tuple[str, ...], checked_by(read_command)]
    takes: Annotated[str, one_of("arguments", "text")] = "arguments"
    environment: Annotated[str, one_of("keep", "env")] = "keep"
    shell: Filled = "/bin/sh"


class WrapExec(Extension):
    """Has the shell runner start the command instead of a shell."""

    Options = WrapOptions
    options: WrapOptions

    def __init__(self, options: WrapOptions, context: Context) -> None:
        super().__init__(options, context)
        self._run = context.shell.wrapped(self.wrap)

    @hook
    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        """Run the action behind the command."""
        return self._run(build, position, deadline, halt, journal)

    def wrap(self, text: str, environment: Mapping[str, str]) -> list[str]:
        """The command with the action behind it."""
        inner = [self.options.shell, "-c", text]
        if self.options.environment == "env":
            inner = ["env", *(f"{name}={value}" for name, value in environment.items()), *inner]
        if self.options.takes == "text":
            inner = [shlex.join(inner)]
        return [*self.options.command, *inner]


EXTENSION = WrapExec
