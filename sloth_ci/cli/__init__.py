"""`sci`: parses, calls the client, prints, exits.

Exit codes: 0 done, 1 refused or the build failed, 2 wrong usage, 3 no server there, 130 interrupted
by Ctrl-C, 141 when whoever reads the output has gone.
"""

import os
import sys
from io import TextIOWrapper

from sloth_ci.cli.arguments import WrongUsage
from sloth_ci.cli.commands import MISUSED, NOBODY, REFUSED, Sci
from sloth_ci.client import BadUrl
from sloth_ci.errors import LoginRequired, ServerUnreachable, SlothError, UnexpectedAnswer
from sloth_ci.render import printable

INTERRUPTED, UNREAD = 130, 141

_WRONG_LOGIN = (
    "the server takes another login than was sent: set SLOTH_LOGIN and SLOTH_PASSWORD,"
    " or name its config with -c FILE"
)


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and give the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(arguments: list[str]) -> int:
    try:
        sci = Sci(arguments)
        sci.parse()
    except SystemExit as end:
        return _read_exit(end)
    except (WrongUsage, BadUrl) as error:
        return _complain(str(error), MISUSED)
    except LoginRequired:
        return _complain(_WRONG_LOGIN, REFUSED)
    except (ServerUnreachable, UnexpectedAnswer) as error:
        return _complain(error.message, NOBODY)
    except SlothError as error:
        return _complain(error.message, REFUSED)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", REFUSED)
    return sci.exit_code


def _read_exit(end: SystemExit) -> int:
    """The code of an exit asked for inside: by the help, or by a server that can't start."""
    if isinstance(end.code, str):
        print(printable(end.code), file=sys.stderr)
        return REFUSED
    return end.code or 0


def _complain(sentence: str, code: int) -> int:
    sys.stdout.flush()
    print(f"sci: {printable(sentence)}", file=sys.stderr)
    return code


def _forget_stdout() -> None:
    """Keep the interpreter from writing to the broken pipe once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
