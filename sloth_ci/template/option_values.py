"""Options and arguments that a program takes for a command: `rsync -e`, `git config`, `make`."""

from sloth_ci.template.evaluation import name_of, refuse_all
from sloth_ci.template.interpreters import is_option
from sloth_ci.template.parts import Word, refusal
from sloth_ci.template.runners import RUNNING_OPTIONS, SCRIPT_RUNNERS

_GIT_SAFE_KEYS = ("user.", "author.", "committer.")


def check_running_options(words: list[Word], *, name: str) -> None:
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
        takes_command = word.text in runs or (name == "rsync" and ends_in(word.text, "e"))


def refuse_make(words: list[Word], *, name: str, assigned: str, fed: str) -> None:
    where = f"goes to '{name}', which runs what $(shell …) in a value says"
    if assigned:
        raise refusal(assigned, where, advice="Use the variable in a recipe, with $$")
    from_stdin = any(word.text in ("-f-", "-", "/dev/stdin") for word in words[1:])
    for found in [*map(name_of, words[1:]), fed if from_stdin else ""]:
        if found:
            raise refusal(found, where, advice="Use the variable in a recipe, with $$")


def refuse_scripts(words: list[Word], *, name: str, subcommand: str) -> None:
    if subcommand in SCRIPT_RUNNERS.get(name, frozenset()):
        where = f"is an argument of '{name} {subcommand}', which some releases put into shell text"
        refuse_all(words[2:], fed="", where=where)


def ends_in(text: str, letter: str) -> bool:
    return is_option(text) and not text.startswith("--") and text.endswith(letter)


def _check_git_config(words: list[Word]) -> None:
    texts = [word.text for word in words]
    if "config" not in texts[1:4]:
        return
    rest = words[texts.index("config") + 1 :]
    key = next((word.text for word in rest if "." in word.text and not is_option(word.text)), "")
    named = next(filter(None, map(name_of, rest)), "")
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
