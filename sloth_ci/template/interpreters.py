"""What runs a text that it is given: shells, languages, databases; where the program stands."""

from dataclasses import dataclass

from sloth_ci.template.parts import VALUE, Word, refusal, words_of

_STDIN = ("-", "/dev/stdin", "/dev/fd/", "/proc/self/fd/")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """How one interpreter's command line gives it a program."""

    #: Letters of options whose argument is program text, or a file or module to run.
    code: str = ""
    #: Whole options of that kind.
    code_options: frozenset[str] = frozenset()
    #: Letters of options whose argument is no program.
    data: str = ""
    #: Operands up to the program's file or text, when no option gives it; 0: none is a program.
    operands: int = 1
    #: The program after `code` is the first operand, wherever the option stands (`sh -c -e TEXT`).
    deferred: bool = False
    #: Options go on after the one with the program, and after operands.
    resumes: bool = False
    #: Operands after the first are program text.
    rest: bool = False
    #: Without a program, it reads one from its standard input.
    stdin: bool = True
    #: With one of these letters, operands can be commands (perl opens `cmd |`).
    piping: str = ""
    #: An operand that starts with `-` is taken for an option, wherever it stands.
    permutes: bool = False


_SHELL = Interpreter(
    code="c", code_options=frozenset({"--rcfile", "--init-file"}), data="oO", deferred=True
)
_EXPRESSION = Interpreter(code="e", code_options=frozenset({"--eval", "-eval"}))
_AWK = Interpreter(
    code="fei",
    code_options=frozenset({"--source", "--file", "--include", "--load", "--exec", "-E"}),
    data="vF",
    resumes=True,
    stdin=False,
)
_PERL = Interpreter(code="eEMmI", resumes=True, piping="np")
_NODE = Interpreter(
    code="epr",
    code_options=frozenset(
        {"--eval", "--print", "--require", "--import", "--loader", "--experimental-loader"}
    ),
    resumes=True,
)
_MYSQL = Interpreter(
    code="e",
    code_options=frozenset({"--execute", "--init-command", "--pager", "--tee"}),
    data="uhPDS",
    operands=0,
    resumes=True,
    permutes=True,
)

INTERPRETERS = {
    **dict.fromkeys(
        ("sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "mksh", "pdksh", "yash", "fish"),
        _SHELL,
    ),
    **dict.fromkeys(("csh", "tcsh", "hush", "posh", "rc", "xonsh", "nu", "elvish"), _SHELL),
    "python": Interpreter(code="cm", data="WXQ"),
    "pypy": Interpreter(code="cm", data="WXQ"),
    "ipython": Interpreter(code="cm"),
    "perl": _PERL,
    "ruby": Interpreter(code="erI", data="CEFK", resumes=True, piping="np"),
    "jruby": Interpreter(code="erI", resumes=True, piping="np"),
    "node": _NODE,
    "nodejs": _NODE,
    "deno": Interpreter(code="e", code_options=frozenset({"--eval"}), operands=2, resumes=True),
    "bun": Interpreter(code="ep", code_options=frozenset({"--eval"}), operands=2, resumes=True),
    "php": Interpreter(
        code="rBREfFdzc", code_options=frozenset({"--run", "--process-code"}), resumes=True
    ),
    "lua": Interpreter(code="el", resumes=True),
    "luajit": Interpreter(code="elj", resumes=True),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk", "original-awk"), _AWK),
    **dict.fromkeys(
        ("sed", "gsed", "ssed"),
        Interpreter(
            code="ef",
            code_options=frozenset({"--expression", "--file"}),
            data="l",
            resumes=True,
            stdin=False,
            permutes=True,
        ),
    ),
    "psql": Interpreter(
        code="cf",
        code_options=frozenset({"--command", "--file"}),
        data="dhpUvoFRPTL",
        operands=0,
        resumes=True,
        permutes=True,
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": Interpreter(
        code_options=frozenset({"-cmd", "--cmd", "-init", "--init"}), operands=0, rest=True
    ),
    "duckdb": Interpreter(
        code="c", code_options=frozenset({"-cmd", "-init"}), operands=0, rest=True
    ),
    "osascript": Interpreter(code="el", resumes=True),
    "r": _EXPRESSION,
    "rscript": _EXPRESSION,
    "julia": Interpreter(code="eEL", code_options=frozenset({"--eval", "--print"}), resumes=True),
    "groovy": _EXPRESSION,
    "scala": _EXPRESSION,
    "elixir": Interpreter(code="er", code_options=frozenset({"--eval"}), resumes=True),
    "guile": Interpreter(code="cel"),
    "racket": Interpreter(code="eftl", resumes=True),
    "clojure": _EXPRESSION,
    "tclsh": Interpreter(),
    "wish": Interpreter(),
    "octave": _EXPRESSION,
    "gnuplot": _EXPRESSION,
}
#: Every word given to these can become a program, and so can their standard input.
EVALUATING = words_of(
    "eval trap . source watch parallel at batch crontab ed ex vi vim nvim view emacs gdb lldb "
    "dc m4 expect mongo mongosh sqlplus cqlsh clickhouse-client pwsh powershell tmux screen "
    "socat erl alias hash enable complete compgen bind fc let rsh remsh rexec mosh plink pdsh "
    "dsh ansible ansible-playbook ansible-console entr"
)
#: Interpreters that other commands run: `docker exec web sh -c …`.
RUN_BY_OTHERS = words_of(
    "sh bash rbash dash ash zsh ksh mksh fish csh tcsh python pypy perl ruby node nodejs php "
    "lua awk gawk mawk sed psql mysql mariadb sqlite osascript rscript ssh eval"
)
#: They take `name=value` words and expand commands in the values.
MAKING = words_of("make gmake bmake pmake nmake mingw32-make remake just")


def program_name(word: Word) -> str:
    """The name of the program that a word runs, in lower case and without a version."""
    name = word.text.rsplit("/", 1)[-1].lower().removesuffix(".exe")
    if name in INTERPRETERS or name in EVALUATING:
        return name
    bare = name.rstrip("0123456789.-")
    return bare if bare in INTERPRETERS else name


def is_option(text: str) -> bool:
    """Whether a program takes a word for an option."""
    return text[:1] in ("-", "+") and text not in ("-", "--", "+")


def count_options(words: list[Word], *, arguments: str, long: frozenset[str] = frozenset()) -> int:
    """How many words at the start are options with their arguments, a closing `--` included."""
    index = 0
    while index < len(words):
        text = words[index].text
        if text == "--":
            return index + 1
        if not is_option(text):
            return index
        index += 2 if _wants_next(text, arguments=arguments, long=long) else 1
    return index


def _wants_next(text: str, *, arguments: str, long: frozenset[str]) -> bool:
    if text in long:
        return True
    if text.startswith("--"):
        return False
    places = [place for place, letter in enumerate(text[1:], start=2) if letter in arguments]
    return bool(places) and places[0] == len(text)


def certain(words: list[Word], count: int) -> int:
    """How many words at the start hold that many which are there for certain."""
    index = 0
    while count and index < len(words):
        count -= not words[index].may_vanish
        index += 1
    return index


class ProgramSearch:
    """Finds the program in an interpreter's words, and refuses a value in it."""

    def __init__(self, *, name: str, interpreter: Interpreter, words: list[Word]) -> None:
        self._name = name
        self._spec = interpreter
        self._words = words
        self._index = 1
        self._given = False
        self._deferred = False
        self._from_stdin = False
        self._closed = False
        #: The program's text when it is a shell's and known.
        self.text: Word | None = None

    def check(self, *, fed: str) -> None:
        """Refuse a value in the program, or in what is read as one (`fed` is a placeholder)."""
        self._read_options()
        operands = self._words[self._index :]
        closers = ("--", "-") if self._spec.deferred else ("--",)
        if operands and operands[0].text in closers:
            operands = operands[1:]
            self._closed = True
        self._check_operands(operands)
        if fed and self._reads_stdin([word for word in operands if not word.may_vanish]):
            raise refusal(fed, f"is in what '{self._name}' reads as its program")

    def _read_options(self) -> None:
        while self._index < len(self._words) and not self._stopped():
            word = self._words[self._index]
            if not is_option(word.text):
                return
            self._index += 1
            self._read_option(word)

    def _stopped(self) -> bool:
        return self._given and not self._spec.resumes

    def _read_option(self, word: Word) -> None:
        option, equals, _ = word.text.partition("=")
        if option in self._spec.code_options:
            self._take_code(word if equals else self._next())
            return
        if word.text.startswith("--"):
            self._refuse(word)
            return
        for place, letter in enumerate(word.text[1:], start=2):
            if letter in self._spec.data:
                if place == len(word.text):
                    self._next()
                return
            if letter == "s" and self._spec.deferred:
                self._from_stdin = True
            if letter in self._spec.code:
                if self._spec.deferred:
                    self._deferred = True
                else:
                    self._take_code(word if place < len(word.text) else self._next())
                    return
        self._refuse(word)

    def _next(self) -> Word | None:
        self._index += 1
        return self._words[self._index - 1] if self._index <= len(self._words) else None

    def _take_code(self, word: Word | None) -> None:
        # `--rcfile` of a shell is run besides the program, not as it.
        self._given = self._given or not self._spec.deferred
        self._refuse(word)

    def _check_operands(self, operands: list[Word]) -> None:
        if self._deferred and operands:
            candidates = operands[: certain(operands, 1)]
            self.text = candidates[-1]
            for word in candidates:
                self._refuse(word)
            return
        if self._from_stdin:
            return
        count = 0 if self._given else self._spec.operands
        count = certain(operands, count)
        for word in operands[:count]:
            self._refuse(word)
        for word in operands[1:] if self._spec.rest else []:
            self._refuse(word)
        self._check_rest(operands[count:])

    def _check_rest(self, operands: list[Word]) -> None:
        if self._spec.permutes and not self._closed:
            self._check_permuted(operands)
        seen = {letter for word in self._words if is_option(word.text) for letter in word.text[1:]}
        if not seen & set(self._spec.piping):
            return
        for word in operands:
            if word.names:
                raise refusal(word.names[0], f"is opened by '{self._name}', which runs 'command |'")

    def _check_permuted(self, operands: list[Word]) -> None:
        takes_code = False
        for word in operands:
            if word.text == "--":
                return
            if takes_code:
                self._refuse(word)
            elif word.names and word.text.startswith(("-", VALUE)):
                raise refusal(
                    word.names[0],
                    f"begins a word that '{self._name}' takes for an option if it starts with '-'",
                    advice="Write -- or ./ before it, or give it by an option; as the variable",
                )
            takes_code = is_option(word.text) and (
                word.text in self._spec.code_options
                or bool(set(self._spec.code) & set(word.text[1:]))
            )

    def _reads_stdin(self, operands: list[Word]) -> bool:
        if self._from_stdin and not self._deferred:
            return True
        if not self._given and self._spec.operands and operands and not self._deferred:
            return operands[0].text.startswith(_STDIN)
        if self._spec.rest:
            return self._spec.stdin and not self._given and len(operands) < 2
        program = self._given or self._deferred or (operands and self._spec.operands)
        return self._spec.stdin and not program

    def _refuse(self, word: Word | None) -> None:
        if word and word.names:
            raise refusal(word.names[0], f"is in the program that '{self._name}' runs")
