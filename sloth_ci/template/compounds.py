"""Compound commands of shell text: `if`, loops, `case`, groups, functions, `[[` and `((`.

Grammar: POSIX.1-2017, Shell Command Language, 2.9.4 and 2.9.5, with bash's additions.
"""

import re

from sloth_ci.template.documents import DocumentReader
from sloth_ci.template.parts import Command, Pipeline, Redirection, Unreadable, Word, refusal

_IN = re.compile(r"in[ \t\n;\\]")
_REDIRECTION = re.compile(
    r"(?P<descriptor>[0-9]*|\{\0?[A-Za-z_][A-Za-z0-9_]*\})"
    r"(?P<operator><<<|<<-|<<|<&|<>|>>|>&|>\||&>>|&>|<(?!\()|>(?!\())"
)


class CompoundReader(DocumentReader):
    """Reads compound commands and redirections."""

    def _read_list(self, closers: frozenset[str]) -> tuple[list[Pipeline], str]:
        """Pipelines, and the closer that ended them, which is read too."""
        raise NotImplementedError

    def _read_command(self, closers: frozenset[str]) -> tuple[Command | None, str | None]:
        """One command, or the closer that stands in its place."""
        raise NotImplementedError

    def _read_compound(self, keyword: str) -> Command:
        command = Command(keyword=keyword)
        match keyword:
            case "{":
                self._read_body(command, "}")
            case "if":
                self._read_if(command)
            case "while" | "until":
                self._read_body(command, "do")
                self._read_body(command, "done")
            case "for" | "select":
                self._read_for(command)
            case "case":
                self._read_case(command)
            case "[[":
                self._read_test(command)
            case _:
                self._skip_blanks()
                return self._read_function(self._word("a function's name"))
        return self._end_compound(command)

    def _read_body(self, command: Command, *closers: str) -> str:
        body, closer = self._read_list(frozenset(closers))
        command.bodies.append(body)
        return closer

    def _read_if(self, command: Command) -> None:
        closer = "elif"
        while closer != "fi":
            if closer == "elif":
                self._read_body(command, "then")
            closer = self._read_body(command, "elif", "else", "fi")

    def _read_for(self, command: Command) -> None:
        self._skip_blanks()
        if self._at("(("):
            command.words.append(self._read_parentheses_word())
        else:
            name = self._word("a variable's name")
            if name.names:
                raise refusal(name.names[0], "stands where the name of a variable should")
            command.words.append(name)
            self._skip_gap()
            self._read_items(command)
        self._skip_gap()
        if self._at(";"):
            self.copy(1)
            self._skip_gap()
        opener = self._word("'do'")
        if opener.text not in ("do", "{"):
            raise Unreadable("'for' has no 'do'")
        self._read_body(command, "done" if opener.text == "do" else "}")

    def _read_items(self, command: Command) -> None:
        if not _IN.match(self.text, self.pos, self.end):
            return
        self._word("'in'")
        self._skip_blanks()
        while (word := self.read_word()) is not None:
            command.words.append(word)
            self._skip_blanks()

    def _read_case(self, command: Command) -> None:
        self._skip_blanks()
        command.words.append(self._word("a word"))
        self._skip_gap()
        if self._word("'in'").text != "in":
            raise Unreadable("'case' has no 'in'")
        closer = ";;"
        while closer == ";;":
            self._skip_gap()
            if self._read_patterns(command):
                return
            closer = self._read_body(command, ";;", "esac")

    def _read_patterns(self, command: Command) -> bool:
        """Patterns with their `)`; True when `esac` stands there instead."""
        opened = self._at("(")
        if opened:
            self.copy(1)
        while True:
            self._skip_blanks()
            word = self._word("a pattern or 'esac'")
            if word.text == "esac" and not word.quoted and not opened:
                return True
            command.words.append(word)
            self._skip_blanks()
            if self._at(")"):
                self.copy(1)
                return False
            if not self._at("|"):
                raise Unreadable("a pattern of 'case' has no ')'")
            self.copy(1)

    def _read_test(self, command: Command) -> None:
        while True:
            self._skip_gap()
            if self.pos >= self.end:
                raise Unreadable("'[[' has no ']]'")
            word = self.read_word()
            if word is None:
                self.copy(1)
            elif word.text == "]]" and not word.quoted:
                return
            else:
                command.words.append(word)

    def _read_function(self, name: Word) -> Command:
        if name.names:
            raise refusal(name.names[0], "stands where the name of a function should")
        self._skip_blanks()
        if self._at("("):
            self.copy(1)
            self._skip_blanks()
            if not self._at(")"):
                raise Unreadable(f"'(' follows '{name.text}'; quote it if it is meant as text")
            self.copy(1)
        self._skip_gap()
        if self.pos >= self.end:
            raise Unreadable(f"the function '{name.text}' has no body")
        self.depth = self.deeper()
        body, _ = self._read_command(frozenset())
        self.depth -= 1
        pipelines = [[body]] if body else []
        return Command(words=[name], bodies=[pipelines], keyword="function")

    def _read_arithmetic_command(self) -> Command:
        return self._end_compound(Command(words=[self._read_parentheses_word()], keyword="(("))

    def _read_parentheses_word(self) -> Word:
        word = Word()
        self.read_parentheses(word)
        return word

    def _end_compound(self, command: Command) -> Command:
        self._skip_blanks()
        while match := self._redirection():
            command.redirections.append(self._read_redirection(match))
            self._skip_blanks()
        return command

    def _redirection(self) -> re.Match[str] | None:
        return _REDIRECTION.match(self.text, self.pos, self.end)

    def _read_redirection(self, match: re.Match[str]) -> Redirection:
        self._copy_operator(match[0])
        self._skip_blanks()
        operator = match["operator"]
        target = self._word(f"what '{operator}' is about")
        if operator in ("<<", "<<-"):
            target = self._expect_document(target, operator)
        return Redirection(operator, target, match["descriptor"])
