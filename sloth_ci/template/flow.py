"""Where values go: through pipes, here-documents, variables and functions, to what runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sloth_ci.template.commands import CommandReader
from sloth_ci.template.evaluation import check_double_brackets
from sloth_ci.template.interpreters import is_option
from sloth_ci.template.parts import (
    ARITHMETIC,
    NUMBER_ADVICE,
    Command,
    Pipeline,
    TemplateRefused,
    Unreadable,
    Word,
    name_in,
    refusal,
)
from sloth_ci.template.running import RunCheck

#: Rounds in which values may go from variable to variable.
_MAX_ROUNDS = 20
#: Programs within programs (`sh -c "sh -c …"`).
_MAX_PROGRAMS = 5
_READING = frozenset({"read", "mapfile", "readarray"})
_DECLARING = frozenset({"declare", "typeset", "local", "export", "readonly"})
_POSITIONS = ("@", "*", *"123456789")


@dataclass(slots=True)
class Flow:
    """What is known of the values in a text; each dict gives the placeholder."""

    variables: dict[str, str] = field(default_factory=dict)
    #: Functions that read a value from their standard input.
    fed_functions: dict[str, str] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    #: Variables with the integer attribute, whose values are evaluated.
    integers: set[str] = field(default_factory=set)

    def size(self) -> int:
        """Grows with every thing learnt."""
        return sum(map(len, (self.variables, self.fed_functions, self.functions, self.integers)))


def check_commands(pipelines: list[Pipeline]) -> None:
    """Raise TemplateRefused when a placeholder's value could choose what the commands run."""
    _check(pipelines, fed="", flow=Flow(), programs=0)


def _check(pipelines: list[Pipeline], *, fed: str, flow: Flow, programs: int) -> None:
    _learn(pipelines, fed=fed, flow=flow)

    def check_text(text: str, text_fed: str) -> None:
        _check_program(text, fed=text_fed, flow=flow, programs=programs + 1)

    run_check = RunCheck(check_text=check_text)
    for command, received in _walk(pipelines, fed=fed, flow=flow):
        for word in _words(command):
            _check_word(word, flow=flow)
        if command.keyword == "[[":
            check_double_brackets(command.words)
        elif command.keyword == "((" and received:
            raise refusal(received, ARITHMETIC, advice=NUMBER_ADVICE)
        elif not command.keyword:
            run_check.check(list(_expanded(command.words)), fed=received)


def _check_program(text: str, *, fed: str, flow: Flow, programs: int) -> None:
    """Check a program that has no placeholder, but may read or expand a value."""
    if not (fed or flow.variables):
        return
    try:
        if programs > _MAX_PROGRAMS:
            raise Unreadable("too many programs within programs")
        pipelines = CommandReader(text).read()
    except (Unreadable, TemplateRefused) as error:
        name = fed or next(iter(flow.variables.values()))
        raise refusal(name, f"may reach a program that can't be read ({error})") from error
    inner = Flow(variables=dict(flow.variables))
    for position in _POSITIONS:
        inner.variables.pop(position, None)
    _check(pipelines, fed=fed, flow=inner, programs=programs)


def _learn(pipelines: list[Pipeline], *, fed: str, flow: Flow) -> None:
    for _ in range(_MAX_ROUNDS):
        size = flow.size()
        for command, received in _walk(pipelines, fed=fed, flow=flow):
            _learn_names(command, received=received, flow=flow)
            _learn_variables(command, received=received, flow=flow)
        if flow.size() == size:
            _check_integers(flow)
            return
    name = next(iter(flow.variables.values()))
    raise refusal(name, "goes through too many variables to be followed")


def _check_integers(flow: Flow) -> None:
    for variable in flow.integers & flow.variables.keys():
        raise refusal(flow.variables[variable], ARITHMETIC, advice=NUMBER_ADVICE)


def _learn_names(command: Command, *, received: str, flow: Flow) -> None:
    """Give each word the placeholders whose values reach it by a variable or a substitution."""
    for word in _words(command):
        if word.names:
            continue
        name = next((flow.variables[key] for key in word.variables if key in flow.variables), "")
        if not name and word.substitutions:
            name = received
        if name:
            word.names.append(name)


def _learn_variables(command: Command, *, received: str, flow: Flow) -> None:
    words = command.words
    for word in words:
        if word.assigns and word.names:
            flow.variables.setdefault(word.assigns, word.names[0])
    if command.keyword == "function":
        flow.functions.add(words[0].text)
    elif command.keyword in ("for", "select") and words:
        _learn_items(words[0], words[1:], flow=flow)
    elif not command.keyword:
        start = next((index for index, word in enumerate(words) if not word.assigns), len(words))
        if start < len(words):
            _learn_call(words[start:], received=received, flow=flow)


def _learn_items(variable: Word, items: list[Word], *, flow: Flow) -> None:
    for item in items:
        if item.names:
            flow.variables.setdefault(variable.text, item.names[0])


def _learn_call(words: list[Word], *, received: str, flow: Flow) -> None:
    name, arguments = words[0].text, words[1:]
    passed = next((word.names[0] for word in arguments if word.names), "")
    if name in flow.functions and received:
        flow.fed_functions.setdefault(name, received)
    if (name in flow.functions or name == "set") and passed:
        for position in _POSITIONS:
            flow.variables.setdefault(position, passed)
    if name in _READING and received:
        for variable in ["REPLY", "MAPFILE", *(word.text for word in arguments)]:
            flow.variables.setdefault(variable, received)
    if name == "printf" and passed and arguments[0].text == "-v":
        flow.variables.setdefault(arguments[1].text, passed)
    if name in _DECLARING and any(is_option(word.text) and "i" in word.text for word in arguments):
        flow.integers.update(word.text.partition("=")[0] for word in arguments)


def _walk(pipelines: list[Pipeline], *, fed: str, flow: Flow) -> Iterator[tuple[Command, str]]:
    """Every command, with a placeholder whose value reaches its standard input, or ''."""
    for pipeline in pipelines:
        upstream = fed
        for command in pipeline:
            received = _received(command, upstream=upstream)
            if command.keyword == "function":
                received = flow.fed_functions.get(command.words[0].text, received)
            yield command, received
            for body in command.bodies:
                yield from _walk(body, fed=received, flow=flow)
            for word in _words(command):
                inner_fed = received
                if word.process:
                    inner_fed = received or name_in(command)
                yield from _walk(word.substitutions, fed=inner_fed, flow=flow)
            upstream = upstream or name_in(command)


def _received(command: Command, *, upstream: str) -> str:
    own = [item for item in command.redirections if item.feeds]
    name = next((item.target.names[0] for item in own if item.target.names), "")
    if name or any(item.descriptor in ("", "0") for item in own):
        return name
    return upstream


def _check_word(word: Word, *, flow: Flow) -> None:
    for variable in word.evaluated:
        if variable in flow.variables:
            raise refusal(flow.variables[variable], ARITHMETIC, advice=NUMBER_ADVICE)
    if word.assigns in flow.integers and word.names:
        raise refusal(word.names[0], ARITHMETIC, advice=NUMBER_ADVICE)
    if word.value_in_brace and ("," in word.text or ".." in word.text) and "}" in word.text:
        raise refusal(
            word.names[0], "stands in a word that some shells make several words of ({a,b})"
        )


def _expanded(words: list[Word]) -> Iterator[Word]:
    """The words, with those that some shells make several of as several."""
    for word in words:
        if not (word.braced and "}" in word.text and ("," in word.text or ".." in word.text)):
            yield word
            continue
        text = word.text.replace("{", ",").replace("}", ",")
        for part in filter(None, text.split(",")):
            yield Word(text=part, names=word.names, quoted=word.quoted)


def _words(command: Command) -> list[Word]:
    return command.words + [item.target for item in command.redirections]
