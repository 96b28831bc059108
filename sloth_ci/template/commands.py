"""Commands of shell text: lists, pipelines, compound commands, redirections, here-documents.

Grammar: POSIX.1-2017, Shell Command Language, 2.3 Token Recognition to 2.10 Shell Grammar, with
bash's `[[`, `((`, `<<<`, `&>`, `|&`, `select`, `function` and arrays. It takes more than shells
do: what is no shell text at all is for the shell to say.
"""

import re
from dataclasses import dataclass

from sloth_ci.template.words import (
    Command,
    Pipeline,
    Redirection,
    Unreadable,
    Word,
    WordReader,
    refusal,
)

_CLOSERS = frozenset({"then", "do", "done", "fi", "elif", "else", "esac", "}", "in", "]]"})
_COMPOUND = frozenset({"if", "while", "until", "for", "select", "case", "{", "[[", "function"})
_RESERVED = (_CLOSERS | _COMPOUND | {"!", "time", "coproc"}) - {"in", "]]"}
_IN = re.compile(r"in[ \t\n;\\]")
_TIME_OPTION = re.compile(r"-p[ \t]+")
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_SEPARATOR = re.compile(r"&&|\|\||;|&(?!>)")
_CASE_END = re.compile(r";;&|;;|;&")
_REDIRECTION = re.compile(
    r"(?P<descriptor>[0-9]*|\{\0?[A-Za-z_][A-Za-z0-9_]*\})"
    r"(?P<operator><<<|<<-|<<|<&|<>|>>|>&|>\||&>>|&>|<(?!\()|>(?!\())"
)
_SPLIT_OPERATOR = re.compile(r"\\\n[<>&|;(]")


@dataclass(slots=True)
class _Document:
    """A here-document whose body is still to come."""

    target: Word
    delimiter: str
    quoted: bool
    tabs_stripped: bool


class CommandReader(WordReader):
    """Reads commands; `read` is the way in."""

    def __init__(self, text: str, *, depth: int = 0) -> None:
        super().__init__(text, depth=depth)
        self._documents: list[_Document] = []

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
            last.names += element.names
            last.variables += element.variables
            last.evaluated += element.evaluated
            last.substitutions += element.substitutions
            last.text += element.text

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

    def _expect_document(self, delimiter: Word, operator: str) -> Word:
        if delimiter.names:
            raise refusal(delimiter.names[0], "stands in the delimiter of a here-document")
        if "\1" in delimiter.text or "\n" in delimiter.text:
            raise Unreadable("the delimiter of a here-document must be a plain word")
        body = Word()
        self._documents.append(
            _Document(body, delimiter.text, delimiter.quoted, tabs_stripped=operator == "<<-")
        )
        return body

    def _read_documents(self) -> None:
        """The bodies of the here-documents of the line before."""
        documents, self._documents = self._documents, []
        for document in documents:
            self._read_document(document)

    def _read_document(self, document: _Document) -> None:
        body_end, after = self._find_delimiter(document)
        if document.quoted:
            self.refuse_inside(
                self.pos,
                body_end,
                f"stands in the here-document '{document.delimiter}', whose delimiter is quoted, "
                f"so that the shell would not fill it in; write <<{document.delimiter}",
            )
        else:
            end, self.end = self.end, body_end
            self.read_expanded(document.target)
            self.end = end
        self.copy(after - self.pos)

    def _find_delimiter(self, document: _Document) -> tuple[int, int]:
        """Where the body ends, and where the line after its delimiter begins."""
        start, joined = self.pos, ""
        while start < self.end:
            newline = self.text.find("\n", start, self.end)
            stop = self.end if newline < 0 else newline
            line = self.text[start:stop]
            if document.tabs_stripped:
                line = line.lstrip("\t")
            if joined and (joined + line == document.delimiter):
                raise Unreadable(f"the delimiter '{document.delimiter}' is on several lines")
            if line == document.delimiter and not joined:
                return start, min(stop + 1, self.end)
            joined = "" if document.quoted else _continued(joined, line, document.delimiter)
            start = stop + 1
        raise Unreadable(f"the here-document has no line '{document.delimiter}'")

    def _word(self, wanted: str) -> Word:
        word = self.read_word()
        if word is None:
            raise Unreadable(f"{wanted} is missing")
        return word

    def _at(self, operator: str) -> bool:
        return self.text.startswith(operator, self.pos, self.end)

    def _at_end_of_command(self) -> bool:
        return self.pos >= self.end or self.text[self.pos] in "\n;&|)"

    def _copy_operator(self, operator: str) -> None:
        self.copy(len(operator))
        if operator not in ("&&", "||") and _SPLIT_OPERATOR.match(self.text, self.pos):
            raise Unreadable("a line continuation stands within an operator")

    def _skip_blanks(self) -> None:
        if match := _BLANKS.match(self.text, self.pos, self.end):
            self.copy(len(match[0]))
        if self._at("#"):
            newline = self.text.find("\n", self.pos, self.end)
            self.copy((self.end if newline < 0 else newline) - self.pos)

    def _skip_gap(self) -> None:
        """Blanks, comments and line ends, with the here-documents that follow these."""
        while True:
            self._skip_blanks()
            if not self._at("\n"):
                return
            self.copy(1)
            self._read_documents()


def _continued(joined: str, line: str, delimiter: str) -> str:
    """The line so far when a backslash joins the next one to it, cut to what matters."""
    backslashes = len(line) - len(line.rstrip("\\"))
    if backslashes % 2 == 0:
        return ""
    return (joined + line[:-1])[: len(delimiter) + 1] or "\\"


def _either(closers: frozenset[str]) -> str:
    return " or ".join(f"'{closer}'" for closer in sorted(closers))
