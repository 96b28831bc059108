"""Gaps between tokens of shell text, and the here-documents that follow a line's end.

Grammar: POSIX.1-2017, Shell Command Language, 2.7.4 Here-Document.
"""

import re
from dataclasses import dataclass

from sloth_ci.template.parts import UNKNOWN, Unreadable, Word, refusal
from sloth_ci.template.words import WordReader

_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_SPLIT_OPERATOR = re.compile(r"\\\n[<>&|;(]")


@dataclass(slots=True)
class _Document:
    """A here-document whose body is still to come."""

    target: Word
    delimiter: str
    quoted: bool
    tabs_stripped: bool


class DocumentReader(WordReader):
    """Reads blanks, comments, line ends and here-documents."""

    def __init__(self, text: str, *, depth: int = 0) -> None:
        super().__init__(text, depth=depth)
        self._documents: list[_Document] = []

    def _expect_document(self, delimiter: Word, operator: str) -> Word:
        if delimiter.names:
            raise refusal(delimiter.names[0], "stands in the delimiter of a here-document")
        if UNKNOWN in delimiter.text or "\n" in delimiter.text:
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
