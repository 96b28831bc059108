"""Expansions of shell text: what `$`, backticks and double quotes make of it.

Grammar: POSIX.1-2017, Shell Command Language, 2.2 Quoting and 2.6 Word Expansions, and what bash
adds to it (`$'…'`, `$[…]`, `${!x}`). Where shells differ and a placeholder is near, it is refused.
"""

import re

from sloth_ci.template.parts import (
    ARITHMETIC,
    IDENTIFIER,
    NUMBER_ADVICE,
    PLACEHOLDER,
    PREFIX,
    UNKNOWN,
    VALUE,
    Pipeline,
    Unreadable,
    Word,
    name_in,
    refusal,
)

#: Deeper nesting is not read.
MAX_DEPTH = 30

_AT_PLACEHOLDER = re.compile(r"\{(" + IDENTIFIER + r")\}")
_PARAMETER = re.compile(r"\$\{\0?(" + IDENTIFIER + r"|[0-9]+|[@*#?$!-])\}")
_COMPLEX_NAME = re.compile(r"\$\{[!#]?(" + IDENTIFIER + r"|[0-9]+|[@*])?")
_VARIABLE = re.compile(r"\$(" + IDENTIFIER + r"|[0-9@*#?$!-])")
_OLD_ARITHMETIC = re.compile(r"\$\[[^\]'\"`\\${]*\]")
_NAMES = re.compile(IDENTIFIER)
_DOUBLE_QUOTED = re.compile(r"[^\"\\`${]+")
_PLAIN_ARITHMETIC = re.compile(r"[^'\"\\`${()#\n]+")
_BACKTICKED = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL)
_BACKTICK_ESCAPE = re.compile(r"\\([$`\\])")


class ExpansionReader:
    """Reads expansions from `pos` on and appends what the shell gets to `out`."""

    def __init__(self, text: str, *, depth: int = 0) -> None:
        self.text = text
        self.pos = 0
        self.end = len(text)
        self.depth = depth
        self.out: list[str] = []
        #: Every placeholder, in order of appearance.
        self.names: dict[str, None] = {}

    def read_expanded(self, word: Word, *, stop: str = "") -> None:
        """Read text as within double quotes, up to and with `stop`, else to the end."""
        while self.pos < self.end:
            char = self.text[self.pos]
            if char == stop:
                self.copy(1)
                return
            if char == "\\":
                self._read_backslash(word, stop=stop)
            elif char == "$":
                self._read_dollar(word, bare=False)
            elif char == "`":
                self._read_backticks(word)
            elif char == "{":
                self._read_brace(word, before="", after="")
            else:
                match = _DOUBLE_QUOTED.match(self.text, self.pos, self.end)
                self._literal(word, len(match[0]) if match else 1)
        if stop:
            raise Unreadable("a double quote stays open")

    def read_parentheses(self, word: Word) -> None:
        """Read `((…))`, where no placeholder may stand, to its end."""
        inner, start, level = Word(), self.pos, 0
        self.depth = self.deeper()
        while self.pos < self.end:
            char = self.text[self.pos]
            if char in "()":
                level += 1 if char == "(" else -1
                self.copy(1)
                if not level:
                    break
            else:
                self._read_arithmetic_piece(inner, char)
        if level or not self.text.startswith("))", self.pos - 2, self.end):
            raise Unreadable("'((' has no '))'; put a space between parentheses of subshells")
        self.depth -= 1
        if inner.names:
            raise refusal(inner.names[0], ARITHMETIC, advice=NUMBER_ADVICE)
        word.evaluated += _NAMES.findall(self.text, start, self.pos) + inner.variables
        word.substitutions += inner.substitutions

    def read_single_quoted(self, word: Word) -> None:
        close = self.text.find("'", self.pos + 1, self.end)
        if close < 0:
            raise Unreadable("a single quote stays open")
        word.quoted = True
        self.copy(1)
        for found in PLACEHOLDER.finditer(self.text, self.pos, close):
            self._literal(word, found.start() - self.pos)
            self._place(word, found, before="'\"", after="\"'")
        self._literal(word, close - self.pos)
        self.copy(1)

    def read_substitution(self, closer: str) -> list[Pipeline]:
        """The commands up to the closer."""
        raise NotImplementedError

    def copy(self, count: int) -> str:
        """Pass the next characters on as they are."""
        piece = self.text[self.pos : self.pos + count]
        self.out.append(piece)
        self.pos += count
        return piece

    def refuse_inside(self, start: int, end: int, where: str) -> None:
        """Refuse a placeholder between two positions."""
        if found := PLACEHOLDER.search(self.text, start, end):
            raise refusal(found[1], where)

    def deeper(self) -> int:
        """The depth of what is nested here."""
        if self.depth >= MAX_DEPTH:
            raise Unreadable("it is nested too deep")
        return self.depth + 1

    def _literal(self, word: Word, count: int) -> None:
        word.text += self.copy(count).replace(VALUE, "")

    def _read_brace(self, word: Word, *, before: str, after: str) -> None:
        found = _AT_PLACEHOLDER.match(self.text, self.pos, self.end)
        if found:
            self._place(word, found, before=before, after=after)
            return
        word.braced |= bool(before)
        self._literal(word, 1)

    def _place(self, word: Word, found: re.Match[str], *, before: str, after: str) -> None:
        word.names.append(found[1])
        self.names.setdefault(found[1])
        word.text += VALUE
        word.value_in_brace |= word.braced
        self.out.append(f"{before}${{{PREFIX}{found[1]}}}{after}")
        self.pos = found.end()

    def _read_backslash(self, word: Word, *, stop: str) -> None:
        following = self.text[self.pos + 1 : min(self.pos + 2, self.end)]
        if following and following in "$`\\\n" + stop:
            self.copy(2)
            word.text += following.replace("\n", "")
            return
        self._literal(word, 1)
        if _AT_PLACEHOLDER.match(self.text, self.pos, self.end):
            # The backslash is itself here, and would hide the `$` that comes.
            self.out.append("\\")

    def _read_backticks(self, word: Word) -> None:
        match = _BACKTICKED.match(self.text, self.pos, self.end)
        if not match:
            raise Unreadable("a backtick stays open")
        self.refuse_inside(
            match.start(), match.end(), "stands within backticks; write $(…) instead of them"
        )
        inner = _BACKTICK_ESCAPE.sub(r"\1", match[1])
        word.substitutions += type(self)(inner, depth=self.deeper()).read_substitution("")
        word.text += UNKNOWN
        self.copy(len(match[0]))

    def _substitute(self, word: Word) -> None:
        inner = self.read_substitution(")")
        word.substitutions += inner
        word.text += UNKNOWN
        found = (name_in(command) for pipeline in inner for command in pipeline)
        word.names += filter(None, found)

    def _read_dollar(self, word: Word, *, bare: bool) -> None:
        text, pos = self.text, self.pos
        following = text[pos + 1 : min(pos + 2, self.end)]
        if following == "\\" and text[pos + 2 : pos + 3] == "\n":
            raise Unreadable("a line continuation follows '$'")
        if text.startswith("$((", pos, self.end):
            self._read_arithmetic(word)
        elif following == "(":
            if text.startswith("\\\n(", pos + 2):
                raise Unreadable("a line continuation stands within '$(('")
            self.copy(2)
            self._substitute(word)
        elif following == "{":
            self._read_parameter(word, bare=bare)
        elif following == "[":
            self._read_old_arithmetic(word)
        elif following == "'" and bare:
            self._read_ansi_quoted(word)
        elif match := _VARIABLE.match(text, pos, self.end):
            word.variables.append(match[1])
            word.text += UNKNOWN
            self.copy(len(match[0]))
        elif following == '"' and bare:
            self.copy(1)
        else:
            self._literal(word, 1)

    def _read_ansi_quoted(self, word: Word) -> None:
        close = self.text.find("'", self.pos + 2, self.end)
        if close < 0:
            raise Unreadable("a single quote stays open")
        where = "stands within $'…', which shells read in different ways; use '…' or \"…\""
        self.refuse_inside(self.pos, close, where)
        if "\\'" in self.text[self.pos : close + 1]:
            raise Unreadable("$'…' with a quote in it is read in different ways by shells")
        word.text += UNKNOWN
        word.quoted = True
        self.copy(close + 1 - self.pos)

    def _read_old_arithmetic(self, word: Word) -> None:
        match = _OLD_ARITHMETIC.match(self.text, self.pos, self.end)
        if not match:
            raise Unreadable("$[ is read in different ways by shells; write $((…)) or \\$[")
        word.evaluated += _NAMES.findall(match[0])
        word.text += UNKNOWN
        self.copy(len(match[0]))

    def _read_arithmetic(self, word: Word) -> None:
        self.copy(1)
        self.read_parentheses(word)
        word.text += UNKNOWN

    def _read_arithmetic_piece(self, word: Word, char: str) -> None:
        if char == "$":
            self._read_dollar(word, bare=False)
        elif char == "`":
            self._read_backticks(word)
        elif char == "{":
            found = _AT_PLACEHOLDER.match(self.text, self.pos, self.end)
            if found:
                raise refusal(found[1], ARITHMETIC, advice=NUMBER_ADVICE)
            self.copy(1)
        elif char == '"':
            self.copy(1)
            self.read_expanded(word, stop='"')
        elif char in "'\\" or (char == "#" and self.text[self.pos - 1] in " \t\n"):
            raise Unreadable(f"{char} within '((' is read in different ways by shells")
        else:
            match = _PLAIN_ARITHMETIC.match(self.text, self.pos, self.end)
            self.copy(len(match[0]) if match else 1)

    def _read_parameter(self, word: Word, *, bare: bool) -> None:
        word.text += UNKNOWN
        if match := _PARAMETER.match(self.text, self.pos, self.end):
            word.variables.append(match[1])
            self.copy(len(match[0]))
            return
        start = self.pos
        name = _COMPLEX_NAME.match(self.text, self.pos, self.end)
        inner = Word()
        self.depth = self.deeper()
        self.copy(2)
        while self.pos < self.end and self.text[self.pos] != "}":
            self._read_parameter_piece(inner, bare=bare)
        if self.pos >= self.end:
            raise Unreadable("'${' has no '}'")
        self.copy(1)
        self.depth -= 1
        word.names += inner.names
        word.variables += inner.variables
        word.evaluated += inner.evaluated
        word.substitutions += inner.substitutions
        if name and name[1]:
            word.variables.append(name[1])
            self._note_operator(word, self.text[start : self.pos], name=name[1], inner=inner)

    def _read_parameter_piece(self, word: Word, *, bare: bool) -> None:
        char = self.text[self.pos]
        found = _AT_PLACEHOLDER.match(self.text, self.pos, self.end)
        if found:
            raise refusal(found[1], "stands within '${…}', which shells read in different ways")
        if char == "\\":
            self.copy(2)
        elif char == "$":
            self._read_dollar(word, bare=False)
        elif char == "`":
            self._read_backticks(word)
        elif char in "'\"" and not bare:
            raise Unreadable(f"{char} within a quoted '${{…}}' is read in different ways by shells")
        elif char == '"':
            self.copy(1)
            self.read_expanded(word, stop='"')
        elif char == "'":
            self.read_single_quoted(word)
        else:
            self.copy(1)

    def _note_operator(self, word: Word, text: str, *, name: str, inner: Word) -> None:
        """Note whose values run through the shell's evaluation in a `${…}`."""
        operator = text[2 + len(name) :]
        if "[@]" in text:
            word.variables.append("@")
        if text.startswith("${!") or operator.startswith("@"):
            word.evaluated.append(name)
        elif operator.startswith("[") or (operator[:1] == ":" and operator[1:2] not in "-=?+"):
            word.evaluated += _NAMES.findall(operator) + inner.variables
