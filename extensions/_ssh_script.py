"""What is run on the other side of an SSH connection: a text for any POSIX shell."""

from collections.abc import Mapping
from shlex import quote

#: The action's processes carry it in their environment.
_MARKER = "SLOTH_ACTION"
#: Rounds of a tenth of a second that what ended by itself leaves to its leftovers.
_LEFTOVER_ROUNDS = 5
_KILL_ROUNDS = 20

# Descriptor 3 is the lifeline: our end of the connection, as the other side's standard input. It
# ends with the connection, whatever ended that, or says in how many rounds KILL follows TERM.
# What belongs to the action is found by the marker, wherever it went. Without /proc, as on BSD,
# it is the process group, which sshd makes; then TERM and KILL may hit only what is still in it.
_TEXT = """\
exec 3<&0 4>&2 </dev/null 2>/dev/null
{enter}mine() {{ grep -lsF {marked} /proc/[0-9]*/environ | tr -cd '0-9\\n'; }}
tell() {{
  round=0 told=' '
  while left=$(mine); [ "$left" ]; do
    [ "$round" -lt "$2" ] || return 1
    for pid in $left; do
      case $told in *" $pid "*) continue;; esac
      kill -s "$1" "$pid"; kill -s CONT "$pid"; told="$told$pid "
    done
    round=$((round + 1)); sleep 0.1
  done
}}
finish() {{ [ ! -r /proc/self/environ ] || tell TERM "$1" || tell KILL {kill}; }}
finish_group() {{
  [ -r /proc/self/environ ] && return
  trap : TERM; kill -s TERM 0; sleep "$(($1 / 10))"; kill -s KILL 0
}}
broken=
trap 'broken=1' USR1
trap : TERM
{{
  trap : TERM
  read -r rounds <&3
  kill -s USR1 $$; finish_group "${{rounds:-50}}"; finish "${{rounds:-50}}"
}} >/dev/null 4>&- &
lifeline=$!
(
  trap - TERM USR1
{exports}  exec /bin/sh -c {text} 3<&- 2>&4 4>&-
)
code=$?
if [ "$broken" ]; then finish 50; else kill -s KILL "$lifeline"; {leftovers}; fi
exit "$code"
"""


def write_script(
    text: str, *, environment: Mapping[str, str], token: str, folder: str | None, detach: bool
) -> str:
    """The whole action: it enters the folder, runs, and leaves nothing behind unless detached.

    Values stand between single quotes, in the script only, which comes through the connection;
    so they are neither run, nor seen in the other machine's list of processes.
    """
    marked = {**environment, _MARKER: token}
    enter = f"cd -- {quote(folder)} 2>&4 || exit 126\n" if folder else ""
    return _TEXT.format(
        enter=enter,
        marked=quote(f"{_MARKER}={token}"),
        kill=_KILL_ROUNDS,
        exports="".join(f"  export {name}={quote(value)}\n" for name, value in marked.items()),
        text=quote(text),
        leftovers=":" if detach else f"finish {_LEFTOVER_ROUNDS}",
    )


def command_for(script: bytes) -> str:
    """The command that reads a script of that length from its standard input, and runs it.

    It reads the same in every shell that may be somebody's login shell, csh and fish among them.
    """
    return f"exec /bin/sh -c 'eval \"$(head -c {len(script)})\"'"
