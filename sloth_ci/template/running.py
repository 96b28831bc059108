"""What a command would run: refuses a placeholder where its value could choose that.

Known ways from a value to a command: the command's name, shell text and programs in arguments,
programs read from the standard input, options and variables that name a command, and the shell's
own evaluation (arithmetic, array indexes, `printf -v`).
"""

from collections.abc import Callable
from itertools import pairwise

from sloth_ci.template.evaluation import check_assignment, check_builtin, name_of, refuse_all
from sloth_ci.template.interpreters import (
    EVALUATING,
    INTERPRETERS,
    MAKING,
    RUN_BY_OTHERS,
    ProgramSearch,
    certain,
    count_options,
    is_option,
    program_name,
)
from sloth_ci.template.option_values import (
    check_running_options,
    ends_in,
    refuse_make,
    refuse_scripts,
)
from sloth_ci.template.parts import UNKNOWN, VALUE, Word, refusal
from sloth_ci.template.runners import (
    ORDINARY,
    PREFIXES,
    RUNNING_SUBCOMMANDS,
    WITH_SUBCOMMANDS,
    Prefix,
)

#: Commands that run commands that run commands.
_MAX_DEPTH = 20
_SSH_ARGUMENTS = "bcDEeFIiJLlmOopQRSWwB"

#: Checks a shell's program text, given what its standard input is fed with.
CheckText = Callable[[str, str], None]


class RunCheck:
    """Checks the words of simple commands."""

    def __init__(self, *, check_text: CheckText) -> None:
        self._check_text = check_text
        self._depth = 0

    def check(self, words: list[Word], *, fed: str) -> None:
        """Refuse a placeholder that could choose what a simple command runs.

        `fed` names a placeholder whose value reaches its standard input, '' when none does.
        """
        assigned = ""
        for index, word in enumerate(words):
            if not word.assigns:
                self._run(words[index:], fed=fed, assigned=assigned)
                return
            check_assignment(word.assigns, word)
            assigned = assigned or name_of(word)

    def _run(self, words: list[Word], *, fed: str, assigned: str = "") -> None:
        if not words:
            return
        first = words[0]
        if first.names:
            raise refusal(
                first.names[0], "stands where a command's name does, so its value would choose it"
            )
        if first.may_vanish:
            rest = words[certain(words, 1) - 1 :]
            self._run_deeper(rest if not rest[0].may_vanish else [], fed=fed, assigned=assigned)
        name = program_name(first)
        if name in MAKING:
            refuse_make(words, name=name, assigned=assigned, fed=fed)
        elif name == "ssh":
            self._run_ssh(words, fed=fed)
        elif name in EVALUATING:
            refuse_all(words[1:], fed=fed, where=f"is in what '{name}' evaluates")
        elif name in INTERPRETERS:
            self._run_interpreter(words, name=name, fed=fed)
        elif name in PREFIXES:
            self._run_prefix(words, name=name, fed=fed, assigned=assigned)
        elif name == "find":
            self._run_find(words, fed=fed)
        else:
            self._run_other(words, name=name, fed=fed)

    def _run_deeper(self, words: list[Word], *, fed: str, assigned: str = "") -> None:
        if self._depth >= _MAX_DEPTH:
            refuse_all(words, fed=fed, where="follows too many commands that run commands")
            return
        self._depth += 1
        self._run(words, fed=fed, assigned=assigned)
        self._depth -= 1

    def _run_interpreter(self, words: list[Word], *, name: str, fed: str) -> None:
        search = ProgramSearch(name=name, interpreter=INTERPRETERS[name], words=words)
        search.check(fed=fed)
        if search.text and UNKNOWN not in search.text.text:
            self._check_text(search.text.text, fed)

    def _run_ssh(self, words: list[Word], *, fed: str) -> None:
        refuse_all(words[1:], fed="", where="is in a command of 'ssh', which a remote shell reads")
        start = 1 + count_options(words[1:], arguments=_SSH_ARGUMENTS)
        remote = words[start + 1 :]
        if not fed:
            return
        if not remote:
            raise refusal(fed, "is in what 'ssh' hands to a remote shell")
        self._check_text(" ".join(word.text for word in remote), fed)

    def _run_prefix(self, words: list[Word], *, name: str, fed: str, assigned: str) -> None:
        prefix = PREFIXES[name]
        self._check_options(words[1:], prefix=prefix, name=name, fed=fed)
        count = 1 + count_options(words[1:], arguments=prefix.arguments, long=prefix.long)
        inner = words[count + certain(words[count:], prefix.operands) :]
        if name == "command" and any(word.text in ("-v", "-V") for word in words[1:count]):
            return
        while prefix.assigns and inner and _variable(inner[0]):
            check_assignment(_variable(inner[0]), inner[0])
            assigned = assigned or name_of(inner[0])
            inner = inner[1:]
        if name == "xargs":
            inner, fed = _with_stdin(words[1:count], inner, fed=fed), ""
        if name in ("su", "runuser", "script"):
            self._run_shell_of(words, name=name, fed=fed)
        self._run_deeper(inner, fed=fed, assigned=assigned)

    def _run_shell_of(self, words: list[Word], *, name: str, fed: str) -> None:
        """`su` and its like run a shell, which reads its program from stdin without `-c`."""
        texts = [word.text for word in words[1:]]
        given = any(
            text.startswith("--command") or (is_option(text) and "c" in text) for text in texts
        )
        if fed and not given:
            raise refusal(fed, f"is in what the shell of '{name}' reads as its program")

    def _check_options(self, words: list[Word], *, prefix: Prefix, name: str, fed: str) -> None:
        takes_code = False
        for word in words:
            text, _, _ = word.text.partition("=")
            if takes_code and word.names:
                raise refusal(word.names[0], f"is in the text that '{name}' runs")
            if takes_code:
                self._check_text(word.text, fed)
            takes_code = False
            if not is_option(word.text):
                # `su NAME -c TEXT` has its option after an operand.
                if name in ("su", "runuser", "flock", "script"):
                    continue
                return
            letters = "" if word.text.startswith("--") else word.text[1:]
            runs = text in prefix.code or any(letter in prefix.code for letter in letters)
            if word.names and (runs or VALUE in text[:2]):
                raise refusal(word.names[0], f"is in an option of '{name}', which runs commands")
            takes_code = runs

    def _run_find(self, words: list[Word], *, fed: str) -> None:
        start = 0
        for index, word in enumerate(words):
            if word.text in ("-exec", "-execdir", "-ok", "-okdir"):
                start = index + 1
            elif start and word.text in (";", "+"):
                self._run_deeper(words[start:index], fed=fed)
                start = 0
        if start:
            self._run_deeper(words[start:], fed=fed)

    def _run_other(self, words: list[Word], *, name: str, fed: str) -> None:
        check_builtin(words, name=name)
        check_running_options(words, name=name)
        if name in WITH_SUBCOMMANDS:
            self._run_subcommand(words, name=name, fed=fed)
        elif name not in ORDINARY:
            self._run_within(words, fed=fed)
        globbed = words[0].globbed and name not in ("[", "[[")
        if not name or UNKNOWN in name or globbed:
            _refuse_unknown(words, fed=fed)

    def _run_subcommand(self, words: list[Word], *, name: str, fed: str) -> None:
        for index, word in enumerate(words[1:], start=1):
            before = words[index - 1].text
            if not is_option(word.text) and not is_option(before) and word.names:
                raise refusal(word.names[0], f"stands where the subcommand of '{name}' does")
            if not is_option(word.text) and not is_option(before):
                break
        texts = [word.text for word in words]
        for place, (first, second) in enumerate(pairwise(texts)):
            refuse_scripts(words, name=name, subcommand=second if place == 0 else "")
            prefix = RUNNING_SUBCOMMANDS.get((name if place == 0 else first, second))
            if prefix:
                self._run_after(words[place + 2 :], prefix=prefix, fed=fed)
                return
        if name in ("docker", "podman", "nerdctl", "docker-compose") and "run" in texts:
            self._run_within(words, fed=fed)

    def _run_after(self, words: list[Word], *, prefix: Prefix, fed: str) -> None:
        count = count_options(words, arguments=prefix.arguments, long=prefix.long)
        inner = words[count + certain(words[count:], prefix.operands) :]
        if inner and inner[0].text == "--":
            inner = inner[1:]
        self._run_deeper(inner, fed=fed)

    def _run_within(self, words: list[Word], *, fed: str) -> None:
        """An interpreter further along may be run by a command that isn't known here."""
        for index, word in enumerate(words[1:], start=1):
            own_path = "/" not in word.text or word.text.startswith(("/", "./", "../"))
            if own_path and program_name(word) in RUN_BY_OTHERS and not word.names:
                self._run_deeper(words[index:], fed=fed)
                return


def _refuse_unknown(words: list[Word], *, fed: str) -> None:
    """A command known at run time only can be an interpreter."""
    for word, following in pairwise(words):
        if ends_in(word.text, "c") or ends_in(word.text, "e"):
            refuse_all([following], fed="", where="may be in a program; the command is a variable")
    if fed and len(words) == 1:
        raise refusal(fed, "may be read as a program, as the command is a variable")


def _with_stdin(options: list[Word], inner: list[Word], *, fed: str) -> list[Word]:
    """The words that `xargs` makes of a command."""
    if not (fed and inner):
        return inner
    replaced = _replaced(options)
    if not replaced:
        return [*inner, Word(text=VALUE, names=[fed])]
    return [
        Word(text=word.text.replace(replaced, VALUE), names=[*word.names, fed])
        if replaced in word.text
        else word
        for word in inner
    ]


def _replaced(options: list[Word]) -> str:
    for index, word in enumerate(options):
        if word.text.startswith("--replace"):
            return word.text.partition("=")[2] or "{}"
        if word.text.startswith("-") and not word.text.startswith("--") and "I" in word.text:
            attached = word.text.partition("I")[2]
            return attached or (options[index + 1].text if index + 1 < len(options) else "")
        if word.text.startswith("-i"):
            return word.text[2:] or "{}"
    return ""


def _variable(word: Word) -> str:
    """The variable of a `NAME=value` word, quoted or not."""
    name, equals, _ = word.text.partition("=")
    return name if equals and not is_option(word.text) and VALUE not in name else ""
