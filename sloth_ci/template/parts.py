"""What shell text is made of: words, redirections, commands; and how a placeholder is refused."""

import re
from dataclasses import dataclass, field

PREFIX = "SLOTH_PARAM_"
#: Stands in a word's text for a placeholder's value; also marks `{{x}}` in the text being read.
VALUE = "\0"
#: Stands in a word's text for what the shell puts there when it runs.
UNKNOWN = "\1"

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
PLACEHOLDER = re.compile(r"(?<!\$)\{(" + IDENTIFIER + r")\}")

ARITHMETIC = "goes into arithmetic, where some shells run commands that are in a value"
NUMBER_ADVICE = "Use a variable there, after a test with 'case' that it has digits only"


class TemplateRefused(ValueError):
    """The text of an action, or a value for it, can't be run safely; the message says why."""


class Unreadable(Exception):
    """The text can't be read as shell text, or shells would read it in different ways."""


@dataclass(slots=True)
class Word:
    """One word: its text without quotes, and what is inside of it."""

    #: VALUE and UNKNOWN stand for what is known at run time only.
    text: str = ""
    #: Placeholders in it, those within a substitution included.
    names: list[str] = field(default_factory=list)
    #: Variables that it expands, and variables whose values the shell evaluates for it.
    variables: list[str] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)
    #: The commands of its substitutions.
    substitutions: "list[Pipeline]" = field(default_factory=list)
    #: The variable it would set if it stood before the command.
    assigns: str = ""
    quoted: bool = False
    #: Has a `<(…)` or `>(…)`.
    process: bool = False
    #: Has a bare `*`, `?` or `[`: the shell may put a file's name there.
    globbed: bool = False
    #: Has a bare `{`: some shells make several words of `{a,b}`.
    braced: bool = False
    #: Has a placeholder within such a brace, or after it.
    value_in_brace: bool = False

    @property
    def may_vanish(self) -> bool:
        """Whether the shell may make no word of it, or several."""
        expanded = bool(self.text) and not self.text.strip(UNKNOWN)
        return expanded and (not self.quoted or "@" in self.variables)


@dataclass(slots=True)
class Redirection:
    """One redirection; a here-document's body is its target."""

    operator: str
    target: Word
    #: The descriptor as written, '' for the usual one.
    descriptor: str = ""

    @property
    def feeds(self) -> bool:
        """Whether the command can read from it."""
        return self.operator.startswith("<")


@dataclass(slots=True)
class Command:
    """A simple command, or a compound one with bodies."""

    words: list[Word] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)
    bodies: "list[list[Pipeline]]" = field(default_factory=list)
    #: `for`, `case`, `function`, `[[`, … ; '' for a simple command.
    keyword: str = ""


Pipeline = list[Command]


def refusal(name: str, where: str, *, advice: str = "") -> TemplateRefused:
    """The error that says where a placeholder can't stand, and what to write instead."""
    advice = advice or "Write the variable instead"
    return TemplateRefused(f'The placeholder {{{name}}} {where}. {advice}: "${PREFIX}{name}".')


def name_in(command: Command) -> str:
    """A placeholder of the command, its bodies and redirections included; '' when none is."""
    for word in command.words + [item.target for item in command.redirections]:
        if word.names:
            return word.names[0]
    inner = (item for body in command.bodies for pipeline in body for item in pipeline)
    return next((name for item in inner if (name := name_in(item))), "")


def words_of(text: str) -> frozenset[str]:
    """The words of a text, for tables."""
    return frozenset(text.split())
