"""Commands of shell text: lists, pipelines and simple commands.

Grammar: POSIX.1-2017, Shell Command Language, 2.9 and 2.10, with bash's `&>`, `|&` and arrays. It
takes more than shells do: what is no shell text at all is for the shell to say.
"""

import re

from sloth_ci.template.compounds import CompoundReader
from sloth_ci.template.parts import IDENTIFIER, Command, Pipeline, Unreadable, Word, refusal

_CLOSERS = frozenset({"then", "do", "done", "fi", "elif", "else", "esac", "}"})
_COMPOUND = frozenset({"if", "while", "until", "for", "select", "case", "{", "[[", "function"})
_RESERVED = _CLOSERS | _COMPOUND | {"!", "time", "coproc"}
_NAMES = re.compile(IDENTIFIER)
_TIME_OPTION = re.compile(r"-p[ \t]+")
_SEPARATOR = re.compile(r"&&|\|\||;|&(?!>)")
_CASE_END = re.compile(r";;&|;;|;&")


class CommandReader(CompoundReader):
    """Reads commands; `read` is the way in."""

    def read(self) -> list[Pipeline]:
        """The whole text."""
        return self.read_substitution("")

    def read_substitution(self, closer: str) -> list[Pipeline]:
        """Pipelines up to and with the closer, `)`, or to the end."""
        waiting, self._documents = self._documents, []
        start = self.pos
        pipelines, _ = self._read_list(frozenset({closer}))
        if self._documents:
            raise Unreadable(f"the here-document '{self._documents[0].delimiter}' has no body")
        self._documents = waiting
        if waiting and "\n" in self.text[start : self.pos]:
            raise Unreadable("a substitution of several lines follows '<<' on its line")
        return pipelines

    def _read_list(self, closers: frozenset[str]) -> tuple[list[Pipeline], str]:
        """Pipelines, and the closer that ended them, which is read too."""
        pipelines: list[Pipeline] = []
        self.depth = self.deeper()
        while True:
            self._skip_separators(closers)
            closer = self._read_operator_closer(closers)
            if closer is None:
                pipeline, closer = self._read_pipeline(closers)
                if pipeline:
                    pipelines.append(pipeline)
            if closer is not None:
                self.depth -= 1
                return pipelines, closer

    def _read_operator_closer(self, closers: frozenset[str]) -> str | None:
        if self.pos >= self.end:
            if "" in closers:
                return ""
            raise Unreadable(f"it ends where {_either(closers)} should follow")
        if self.text[self.pos] == ")":
            if ")" not in closers:
                raise Unreadable("')' has no '('")
            return self.copy(1)
        match = _CASE_END.match(self.text, self.pos, self.end)
        if match and ";;" in closers:
            self.copy(len(match[0]))
            return ";;"
        return None

    def _skip_separators(self, closers: frozenset[str]) -> None:
        self._skip_gap()
        while separator := _SEPARATOR.match(self.text, self.pos, self.end):
            if ";;" in closers and _CASE_END.match(self.text, self.pos, self.end):
                return
            self._copy_operator(separator[0])
            self._skip_gap()

    def _read_pipeline(self, closers: frozenset[str]) -> tuple[Pipeline, str | None]:
        pipeline: Pipeline = []
        while True:
            command, closer = self._read_command(closers)
            if command:
                pipeline.append(command)
            if closer is not None:
                return pipeline, closer
            self._skip_blanks()
            if not self._at("|") or self._at("||"):
                return pipeline, None
            self._copy_operator("|&" if self._at("|&") else "|")
            self._skip_gap()
            if self.pos >= self.end:
                raise Unreadable("it ends after '|'")

    def _read_command(self, closers: frozenset[str]) -> tuple[Command | None, str | None]:
        self._skip_blanks()
        if self._at("(("):
            return self._read_arithmetic_command(), None
        if self._at("("):
            self._copy_operator("(")
            body, _ = self._read_list(frozenset({")"}))
            return self._end_compound(Command(bodies=[body], keyword="(")), None
        if self._redirection():
            return self._read_simple(Command()), None
        word = self.read_word()
        if word is None:
            raise Unreadable(
                f"'{self.text[self.pos : self.pos + 1]}' stands where a command should"
            )
        if word.quoted or word.names or word.text not in _RESERVED:
            return self._read_simple(Command(words=[word])), None
        if word.text in closers:
            return None, word.text
        return self._read_reserved(word, closers)

    def _read_reserved(
        self, word: Word, closers: frozenset[str]
    ) -> tuple[Command | None, str | None]:
        if word.text in ("!", "time"):
            return self._read_after_prefix(word, closers)
        if word.text not in _COMPOUND:
            raise Unreadable(f"'{word.text}' stands where a command should")
        return self._read_compound(word.text), None

    def _read_after_prefix(
        self, word: Word, closers: frozenset[str]
    ) -> tuple[Command | None, str | None]:
        self._skip_blanks()
        if match := _TIME_OPTION.match(self.text, self.pos, self.end):
            self.copy(len(match[0]))
        if self._at_end_of_command():
            return Command(words=[word]), None
        self.depth = self.deeper()
        found = self._read_command(closers)
        self.depth -= 1
        return found

    def _read_simple(self, command: Command) -> Command:
        while True:
            self._read_array(command)
            self._skip_blanks()
            if match := self._redirection():
                self._read_redirection_of(command, match)
            elif self._at("("):
                return self._read_parenthesis_after(command)
            elif (word := self.read_word()) is not None:
                command.words.append(word)
            else:
                return command

    def _read_redirection_of(self, command: Command, match: re.Match[str]) -> None:
        redirection = self._read_redirection(match)
        command.redirections.append(redirection)
        self._skip_blanks()
        if redirection.operator.startswith("&>") and not self._at_end_of_command():
            raise Unreadable("'&>' ends the command in some shells; write '> file 2>&1'")

    def _read_parenthesis_after(self, command: Command) -> Command:
        last = command.words[-1] if command.words else Word()
        if len(command.words) != 1 or command.redirections:
            raise Unreadable(f"'(' follows '{last.text}'; quote it if it is meant as text")
        return self._read_function(last)

    def _read_array(self, command: Command) -> None:
        """The elements of `name=(…)`, added to the word before."""
        last = command.words[-1] if command.words else Word()
        if not (last.assigns and self._at("(") and self.text[self.pos - 1] == "="):
            return
        self.copy(1)
        while True:
            self._skip_gap()
            if self._at(")"):
                self.copy(1)
                return
            element = self._word("')'")
            if element.names and element.text.startswith("["):
                raise refusal(element.names[0], "stands in an array's element with an index")
            if element.text.startswith("["):
                last.evaluated += _NAMES.findall(element.text) + element.variables
            last.names += element.names
            last.variables += element.variables
            last.evaluated += element.evaluated
            last.substitutions += element.substitutions
            last.text += element.text


def _either(closers: frozenset[str]) -> str:
    return " or ".join(f"'{closer}'" for closer in sorted(closers))
