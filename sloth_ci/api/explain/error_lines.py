"""The first line of an output that looks like an error, by what compilers and tools print.

A pattern is here because a real output in `tests/api/outputs` needs it.
"""

import re
from collections.abc import Iterable

#: More of a line is not looked at; it keeps the work on one line small.
MAX_LOOK = 1_000

#: Colours and what else a terminal would take for orders (ECMA-48), links and titles included.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)?|[@-Z\\^_])")
#: What logs and BuildKit write before a line's own text.
_BEFORE = re.compile(r"(?:#\d+ )?(?:\d+\.\d+ )?(?:\[?\d{4}-\d\d-\d\d[T ][0-9:.,]+Z?\]? )?")

_CERTAIN = tuple(
    re.compile(pattern)
    for pattern in (
        # file:line: of gcc, clang, javac, mypy, go vet; with a rule's code of flake8 and ruff
        r"[^\s:]+:\d+(?::\d+)?: (?:fatal )?error\b",
        r"[^\s:]+:\d+:\d+: [A-Z]+\d+ ",
        r".*\berror TS\d+:",
        r"\s+\d+:\d+\s+error\s",
        r"error(?:\[\w+\])?: ",
        r"(?:fatal|Fatal error|fatal error|invalid-syntax): ",
        r"(?:ERROR|FATAL|CRITICAL|SEVERE|Error)\b:? (?!in \S+ build$)",
        r"\[(?:ERROR|FATAL)\] \S",
        # pytest, unittest, go test, TAP, jest
        r"E   +\S",
        r"(?:FAILED|FAIL:|--- FAIL:|not ok \d+) ?\S",
        r"  ● \S",
        # the last line of a traceback, in Python, JavaScript, Java, Ruby
        r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?: \[\w+\])?(?::|$)",
        r"Exception in thread ",
        r"Caused by: ",
        r"(?:Uncaught|Unhandled) \S",
        r"panic: ",
        # linkers, make, npm, curl, ssh, git, docker
        r".*\bundefined reference to\b",
        r"(?:make|gmake|ninja)(?:\[\d+\])?: \*\*\* ",
        r"npm (?:ERR!|error) (?!code |errno |path |syscall |A complete log )\S",
        r"curl: \(\d+\) ",
        r"ssh: ",
        r"CONFLICT \(",
        r"Cannot connect to the Docker daemon",
        r"unable to prepare context: ",
        # shells
        r".*: command not found$",
        r"\S*sh: (?:line )?\d+: .*(?:not found|Permission denied|can't )",
        r"[\w./-]+: .*(?:No such file or directory|Permission denied|No space left on device)$",
        r"(?:\S+: line \d+: +\d+ )?(?:Segmentation fault|Killed|Aborted|Out of memory)\b",
    )
)
_POSSIBLE = re.compile(
    r"\b(?:error|failed|failure|fatal|exception|cannot|can't|unable to|denied|refused"
    r"|not found|no such|timed out|out of memory)\b",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"\b(?:0|no|without) (?:errors?|failed|failures?)\b|\bwarn", re.IGNORECASE)
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{7,64}\b|\d+", re.IGNORECASE)


def clean(text: str) -> str:
    """The line as a page or a terminal would show it: without colours and other escapes."""
    return _ESCAPES.sub("", text)


def find_error(lines: Iterable[str]) -> int | None:
    """The number of the first line that looks like an error, from 0; None when none does.

    One that certainly is one goes before an earlier one that only might be.
    """
    possible = None
    for number, line in enumerate(lines):
        text = clean(line[:MAX_LOOK])
        own = text[_length_before(text) :]
        if any(pattern.match(own) for pattern in _CERTAIN):
            return number
        if possible is None and _POSSIBLE.search(own) and not _HARMLESS.search(own):
            possible = number
    return possible


def likeness(text: str) -> str:
    """What two lines have in common that tell of the same error: all but numbers and hashes."""
    return _VARYING.sub("#", clean(text[:MAX_LOOK])).strip()


def _length_before(text: str) -> int:
    found = _BEFORE.match(text)
    return found.end() if found else 0
