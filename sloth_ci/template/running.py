"""What a command would run: refuses a placeholder where its value could choose that.

Known ways from a value to a command: the command's name, shell text and programs in arguments,
programs read from the standard input, options and variables that name a command, and the shell's
own evaluation (arithmetic, array indexes, `printf -v`).
"""

from collections.abc import Callable
from itertools import pairwise

from sloth_ci.template.interpreters import (
    EVALUATING,
    INTERPRETERS,
    MAKING,
    RUN_BY_OTHERS,
    ProgramSearch,
    count_options,
    is_option,
    program_name,
)
from sloth_ci.template.runners import (
    ORDINARY,
    PREFIXES,
    RUNNING_OPTIONS,
    RUNNING_SUBCOMMANDS,
    RUNNING_VARIABLE_STARTS,
    RUNNING_VARIABLES,
    SCRIPT_RUNNERS,
    WITH_SUBCOMMANDS,
    Prefix,
)
from sloth_ci.template.words import (
    ARITHMETIC,
    UNKNOWN,
    VALUE,
    Word,
    refusal,
)

_SSH_ARGUMENTS = "bcDEeFIiJLlmOopQRSWwB"
_ARITHMETIC_TESTS = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_DECLARING = frozenset({"declare", "typeset", "local", "export", "readonly", "integer"})
_NAMING = frozenset({"unset", "read", "getopts", "mapfile", "readarray", "wait", "unalias"})
_GIT_SAFE_KEYS = ("user.", "author.", "committer.")

#: Checks a shell's program text, given what its standard input is fed with.
CheckText = Callable[[str, str], None]


class RunCheck:
    """Checks the words of simple commands."""

    def __init__(self, *, check_text: CheckText) -> None:
        self._check_text = check_text

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
            assigned = assigned or _name(word)

    def _run(self, words: list[Word], *, fed: str, assigned: str = "") -> None:
        if not words:
            return
        first = words[0]
        if first.names:
            raise refusal(
                first.names[0], "stands where a command's name does, so its value would choose it"
            )
        name = program_name(first)
        if name in MAKING:
            _refuse_make(words, name=name, assigned=assigned, fed=fed)
        elif name == "ssh":
            self._run_ssh(words, fed=fed)
        elif name in EVALUATING:
            _refuse_all(words[1:], fed=fed, where=f"is in what '{name}' evaluates")
        elif name in INTERPRETERS:
            self._run_interpreter(words, name=name, fed=fed)
        elif name in PREFIXES:
            self._run_prefix(words, name=name, fed=fed, assigned=assigned)
        elif name == "find":
            self._run_find(words, fed=fed)
        else:
            self._run_other(words, name=name, fed=fed)

    def _run_interpreter(self, words: list[Word], *, name: str, fed: str) -> None:
        search = ProgramSearch(name=name, interpreter=INTERPRETERS[name], words=words)
        search.check(fed=fed)
        if search.text and UNKNOWN not in search.text.text:
            self._check_text(search.text.text, fed)

    def _run_ssh(self, words: list[Word], *, fed: str) -> None:
        _refuse_all(words[1:], fed="", where="is in a command of 'ssh', which a remote shell reads")
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
        inner = words[count + prefix.operands :]
        if name == "command" and any(word.text in ("-v", "-V") for word in words[1:count]):
            return
        while prefix.assigns and inner and _variable(inner[0]):
            check_assignment(_variable(inner[0]), inner[0])
            assigned = assigned or _name(inner[0])
            inner = inner[1:]
        if name == "xargs":
            inner, fed = _with_stdin(words[1:count], inner, fed=fed), ""
        if name in ("su", "runuser", "script"):
            self._run_shell_of(words, name=name, fed=fed)
        self._run(inner, fed=fed, assigned=assigned)

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
                self._run(words[start:index], fed=fed)
                start = 0
        if start:
            self._run(words[start:], fed=fed)

    def _run_other(self, words: list[Word], *, name: str, fed: str) -> None:
        check_builtin(words, name=name)
        _check_running_options(words, name=name)
        if name in WITH_SUBCOMMANDS:
            self._run_subcommand(words, name=name, fed=fed)
        elif name not in ORDINARY:
            self._run_within(words, fed=fed)
        if not name or UNKNOWN in name or words[0].globbed:
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
            _refuse_scripts(words, name=name, subcommand=second if place == 0 else "")
            prefix = RUNNING_SUBCOMMANDS.get((name if place == 0 else first, second))
            if prefix:
                self._run_after(words[place + 2 :], prefix=prefix, fed=fed)
                return
        if name in ("docker", "podman", "nerdctl", "docker-compose") and "run" in texts:
            self._run_within(words, fed=fed)

    def _run_after(self, words: list[Word], *, prefix: Prefix, fed: str) -> None:
        count = count_options(words, arguments=prefix.arguments, long=prefix.long)
        inner = words[count + prefix.operands :]
        if inner and inner[0].text == "--":
            inner = inner[1:]
        self._run(inner, fed=fed)

    def _run_within(self, words: list[Word], *, fed: str) -> None:
        """An interpreter further along may be run by a command that isn't known here."""
        for index, word in enumerate(words[1:], start=1):
            own_path = "/" not in word.text or word.text.startswith(("/", "./", "../"))
            if own_path and program_name(word) in RUN_BY_OTHERS and not word.names:
                self._run(words[index:], fed=fed)
                return


def check_assignment(variable: str, word: Word) -> None:
    """Refuse a placeholder in the value of a variable that decides what runs."""
    if not word.names:
        return
    if variable in RUNNING_VARIABLES or variable.startswith(RUNNING_VARIABLE_STARTS):
        raise refusal(word.names[0], f"is in the value of '{variable}', which decides what runs")


def check_double_brackets(words: list[Word]) -> None:
    """Refuse a placeholder in a `[[ … ]]` that computes with it."""
    name = next(filter(None, map(_name, words)), "")
    operators = {word.text for word in words if not word.quoted}
    if name and operators & _ARITHMETIC_TESTS:
        raise refusal(name, ARITHMETIC, advice="Use [ … ] instead of [[ … ]] with the variable")
    if name and operators & {"-v", "-R"}:
        raise refusal(name, "is a variable's name in '[['; some shells evaluate that")


def check_builtin(words: list[Word], *, name: str) -> None:
    """Refuse a placeholder that a shell's builtin would take for a variable's name."""
    if name in _NAMING:
        _refuse_all(words[1:], fed="", where=f"is a word of '{name}', which evaluates names")
    elif name in _DECLARING:
        _check_declaration(words, name=name)
    elif name == "printf":
        _check_printf(words)
    elif name in ("test", "["):
        _check_test(words)


def _check_declaration(words: list[Word], *, name: str) -> None:
    letters = {letter for word in words[1:] if is_option(word.text) for letter in word.text[1:]}
    for word in words[1:]:
        if word.assigns:
            check_assignment(word.assigns, word)
        if word.names and not word.assigns:
            raise refusal(word.names[0], f"is a variable's name in '{name}'")
        if word.names and letters & set("aAin"):
            raise refusal(word.names[0], f"is a value that '{name}' evaluates with that option")


def _check_printf(words: list[Word]) -> None:
    operands = words[1:]
    if len(operands) > 1 and operands[0].names and operands[0].text.startswith(VALUE):
        raise refusal(
            operands[0].names[0],
            "is the format of 'printf', where '-v' sets a variable",
            advice="Write printf '%s' with the variable",
        )
    if operands and operands[0].text.startswith("-v"):
        _refuse_all(operands[:2], fed="", where="is a variable's name in 'printf -v'")


def _check_test(words: list[Word]) -> None:
    for word, following in pairwise(words):
        if not following.names:
            continue
        if word.text in ("-v", "-R"):
            raise refusal(following.names[0], "is a variable's name in 'test -v'")
        if word.names and word.text.startswith((VALUE, "-")):
            raise refusal(word.names[0], "stands where an operator of 'test' can stand")


def _check_running_options(words: list[Word], *, name: str) -> None:
    runs = RUNNING_OPTIONS.get(name, frozenset())
    if name == "git":
        _check_git_config(words)
    if name == "scp":
        _check_remote_paths(words)
    takes_command = False
    for word in words[1:]:
        if takes_command and word.names and not word.text.startswith(_GIT_SAFE_KEYS):
            raise refusal(word.names[0], f"is in a command that '{name}' runs")
        option = word.text.partition("=")[0]
        short = word.text[:2] if word.text[:1] == "-" and word.text[1:2] != "-" else ""
        if word.names and "=" in word.text and option in runs:
            raise refusal(word.names[0], f"is in a command that '{name} {option}' runs")
        if word.names and short in runs and len(word.text) > 2:
            raise refusal(word.names[0], f"is in a command that '{name} {short}' runs")
        takes_command = word.text in runs or (name == "rsync" and _ends_in(word.text, "e"))


def _ends_in(text: str, letter: str) -> bool:
    return is_option(text) and not text.startswith("--") and text.endswith(letter)


def _check_git_config(words: list[Word]) -> None:
    texts = [word.text for word in words]
    if "config" not in texts[1:4]:
        return
    rest = words[texts.index("config") + 1 :]
    key = next((word.text for word in rest if "." in word.text and not is_option(word.text)), "")
    named = next(filter(None, map(_name, rest)), "")
    if named and not key.startswith(_GIT_SAFE_KEYS):
        raise refusal(named, "is in git's configuration, where values can be commands")


def _check_remote_paths(words: list[Word]) -> None:
    for word in words[1:]:
        if word.names and ":" in word.text:
            raise refusal(
                word.names[0],
                "is in a remote path of 'scp', which older releases give to the remote shell",
                advice="Use rsync -s, or copy to a constant path, or check the variable first",
            )


def _refuse_make(words: list[Word], *, name: str, assigned: str, fed: str) -> None:
    where = f"goes to '{name}', which runs what $(shell …) in a value says"
    if assigned:
        raise refusal(assigned, where, advice="Use the variable in a recipe, with $$")
    from_stdin = any(word.text in ("-f-", "-", "/dev/stdin") for word in words[1:])
    for found in [*map(_name, words[1:]), fed if from_stdin else ""]:
        if found:
            raise refusal(found, where, advice="Use the variable in a recipe, with $$")


def _refuse_all(words: list[Word], *, fed: str, where: str) -> None:
    for found in [*map(_name, words), fed]:
        if found:
            raise refusal(found, where)


def _refuse_scripts(words: list[Word], *, name: str, subcommand: str) -> None:
    if subcommand in SCRIPT_RUNNERS.get(name, frozenset()):
        where = f"is an argument of '{name} {subcommand}', which some releases put into shell text"
        _refuse_all(words[2:], fed="", where=where)


def _refuse_unknown(words: list[Word], *, fed: str) -> None:
    """A command known at run time only can be an interpreter."""
    for word, following in pairwise(words):
        if _ends_in(word.text, "c") or _ends_in(word.text, "e"):
            _refuse_all([following], fed="", where="may be in a program; the command is a variable")
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


def _name(word: Word) -> str:
    return word.names[0] if word.names else ""
