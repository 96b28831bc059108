"""Words of shell text: bare, quoted and escaped pieces, up to the next blank or operator.

Grammar: POSIX.1-2017, Shell Command Language, 2.3 Token Recognition, and bash's `<(…)`.
"""

import re

from sloth_ci.template.expansions import ExpansionReader
from sloth_ci.template.parts import (
    ARITHMETIC,
    IDENTIFIER,
    NUMBER_ADVICE,
    PLACEHOLDER,
    Word,
    refusal,
)

_ASSIGNMENT = re.compile(r"(" + IDENTIFIER + r")(\[.*\])?\+?=", re.DOTALL)
_NAMES = re.compile(IDENTIFIER)
_BARE = re.compile(r"[^ \t\n;&|<>()'\"\\`${*?\[]+")


class WordReader(ExpansionReader):
    """Reads words."""

    def read_word(self) -> Word | None:
        """The bare word at `pos`; None when an operator, a blank or the end stands there."""
        word, start = Word(), self.pos
        while self.pos < self.end:
            char = self.text[self.pos]
            if char in "<>" and self.text[self.pos + 1 : self.pos + 2] == "(":
                self._read_process(word)
            elif char in " \t\n;&|<>()":
                break
            else:
                self._read_piece(word, char)
        if self.pos == start:
            return None
        if assignment := _ASSIGNMENT.match(self.text, start, self.pos):
            word.assigns = assignment[1]
            self._note_index(word, assignment)
        return word

    def _note_index(self, word: Word, assignment: re.Match[str]) -> None:
        """The index in `name[index]=value` is arithmetic."""
        if not assignment[2]:
            return
        if found := PLACEHOLDER.search(assignment[2]):
            raise refusal(found[1], ARITHMETIC, advice=NUMBER_ADVICE)
        word.evaluated += [name for name in word.variables if name.isdigit()]
        word.evaluated += _NAMES.findall(assignment[2])

    def _read_piece(self, word: Word, char: str) -> None:
        if char == "'":
            self.read_single_quoted(word)
        elif char == '"':
            word.quoted = True
            self.copy(1)
            self.read_expanded(word, stop='"')
        elif char == "\\":
            escaped = self.copy(2)[1:]
            if escaped != "\n":
                word.quoted = True
                word.text += escaped
        elif char == "`":
            self._read_backticks(word)
        elif char == "$":
            self._read_dollar(word, bare=True)
        elif char == "{":
            self._read_brace(word, before='"', after='"')
        else:
            self._read_bare(word, char)

    def _read_bare(self, word: Word, char: str) -> None:
        word.globbed |= char in "*?["
        match = _BARE.match(self.text, self.pos, self.end)
        self._literal(word, len(match[0]) if match else 1)

    def _read_process(self, word: Word) -> None:
        self.copy(2)
        self._substitute(word)
        word.process = True
