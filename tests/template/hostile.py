"""Hostile values: each would make a file `M` if any part of it ran, or break naive quoting."""

# ruff: noqa: E501 (tables of texts)

_COMMANDS = (">M", "touch M", ": > M", "true;>M", "eval '>M'", "sh -c '>M'")
_WRAPPERS = (
    "{}",
    "$({})",
    "`{}`",
    "${{x:=$({})}}",
    "$(({}))",
    "a[$({})]",
    "a[`{}`]+1",
    "x=a[$({})]",
    ";{};",
    "&&{}",
    "||{}",
    "|{}",
    "&{}&",
    "\n{}\n",
    "\r\n{}\r\n",
    "';{};'",
    '";{};"',
    "'$({})'",
    '"$({})"',
    "'\"$({})\"'",
    "\"'$({})'\"",
    "\\';{};\\'",
    '\\";{};\\"',
    "\\$({})",
    "\\\\$({})",
    "){};(",
    "}};{};{{",
    "$'\\n{}'",
    "#\n{}",
    "EOF\n{}\n",
    "E\n{}\nE",
    "\\\n{}",
    "a\\",
    "--{}",
    "-c {}",
)
_SINGLES = (
    "", " ", "  a  b  ", "\t", "\n", "\n\n", "a\n", "\na", "a\nb\nc", "\r", "\r\n", "a\rb",
    "*", "?", "[a-z]*", "/*", "*/*", "{a,b}", "{1..9}", "~", "~root", "~/x", "!", "!!", "!-1", "^a^b",
    "-", "--", "-n", "-e", "-e a", "-v", "--help", "-rf", "-c", "--upload-pack=touch M", "-oProxyCommand=>M",
    "'", '"', "''", '""', "'\"'", "\"'\"", "\\", "\\\\", "\\\\\\", "a\\", "\\n", "\\0", "\\x41", "\\c", "\\'", '\\"',
    "`", "``", "$", "$$", "$0", "$1", "$@", "$*", "$#", "$?", "$!", "$-", "$HOME", "${HOME}", "${IFS}", "$IFS$9",
    "${x}", "{x}", "{{x}}", "{}", "{0}", "{0.__class__}", "{x.__globals__}", "{x!r}", "%s", "%n", "%d%s%n", "%",
    "%(x)s", "%%", "$(", "$((", "))", "${", "}", "(", ")", "[", "]", "[[", "]]", "<", ">", "<<EOF", "<<<a", "<(>M)",
    ">M", ">>M", "2>M", "&>M", "|", "||", "&", "&&", ";", ";;", "#", "# a", "a #b", "=", "a=b", "PATH=.", "IFS=,",
    "é", "ß∂ƒ", "日本語", "🦥", "\u202e", "\u200b", "\ufeff", "e\u0301", "\u2028", "\x85", "\xa0", "\u3000",
    "\x01", "\x02", "\x03", "\x07", "\x08", "\x0b", "\x0c", "\x0e", "\x1b[31m", "\x1b]0;a\x07", "\x7f", "\x1f",
    "if", "then", "fi", "do", "done", "esac", "{", "in", "case", "function", "time", "!", "exec", "eval",
    "../../etc/passwd", "/etc/passwd", "C:\\a", "a/b", "./a", "file://a", "a b", "a\tb", "0", "-1", "08", "0x1f",
    "1e9", "1+1", "a[0]", "a[1", "null", "true", "refs/heads/main", "feature/login", "v1.2.3", "@", "@{u}", "HEAD~1",
    "a" * 100_000, "$(>M)" * 2_000, "'" * 1_000, "\\" * 999, "\n" * 1_000, '"' * 501, "é" * 10_000,
)  # fmt: skip

VALUES = tuple(
    dict.fromkeys(
        [*_SINGLES, *(wrapper.format(command) for wrapper in _WRAPPERS for command in _COMMANDS)]
    )
)
#: One value for every context: whatever reads it as shell text, makes `M`.
POLYGLOTS = (
    "$(>M)`>M`\n>M\n;>M;'$(>M)`>M`\n>M\n;>M;'\"$(>M)`>M`\n>M\n;>M;\"\n>M\n",
    "a[$(>M)]",
    ">M",
)
SHELLS = ("/bin/sh", "bash")
