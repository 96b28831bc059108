"""Where a shell evaluates a value by itself: variables that decide what runs, builtins, `[[`."""

from itertools import pairwise

from sloth_ci.template.interpreters import is_option
from sloth_ci.template.parts import ARITHMETIC, VALUE, Word, refusal
from sloth_ci.template.runners import RUNNING_VARIABLE_STARTS, RUNNING_VARIABLES

_ARITHMETIC_TESTS = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_DECLARING = frozenset({"declare", "typeset", "local", "export", "readonly", "integer"})
_NAMING = frozenset({"unset", "read", "getopts", "mapfile", "readarray", "wait", "unalias"})


def check_assignment(variable: str, word: Word) -> None:
    """Refuse a placeholder in the value of a variable that decides what runs."""
    if not word.names:
        return
    if variable in RUNNING_VARIABLES or variable.startswith(RUNNING_VARIABLE_STARTS):
        raise refusal(word.names[0], f"is in the value of '{variable}', which decides what runs")


def check_double_brackets(words: list[Word]) -> None:
    """Refuse a placeholder in a `[[ … ]]` that computes with it."""
    name = next(filter(None, map(name_of, words)), "")
    operators = {word.text for word in words if not word.quoted}
    if name and operators & _ARITHMETIC_TESTS:
        raise refusal(name, ARITHMETIC, advice="Use [ … ] instead of [[ … ]] with the variable")
    if name and operators & {"-v", "-R"}:
        raise refusal(name, "is a variable's name in '[['; some shells evaluate that")


def check_builtin(words: list[Word], *, name: str) -> None:
    """Refuse a placeholder that a shell's builtin would take for a variable's name."""
    if name in _NAMING:
        refuse_all(words[1:], fed="", where=f"is a word of '{name}', which evaluates names")
    elif name in _DECLARING:
        _check_declaration(words, name=name)
    elif name == "printf":
        _check_printf(words)
    elif name in ("test", "["):
        _check_test(words)


def refuse_all(words: list[Word], *, fed: str, where: str) -> None:
    for found in [*map(name_of, words), fed]:
        if found:
            raise refusal(found, where)


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
        refuse_all(operands[:2], fed="", where="is a variable's name in 'printf -v'")


def _check_test(words: list[Word]) -> None:
    for word, following in pairwise(words):
        if not following.names:
            continue
        if word.text in ("-v", "-R"):
            raise refusal(following.names[0], "is a variable's name in 'test -v'")
        if word.names and word.text.startswith((VALUE, "-")):
            raise refusal(word.names[0], "stands where an operator of 'test' can stand")


def name_of(word: Word) -> str:
    return word.names[0] if word.names else ""
