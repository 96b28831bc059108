"""Texts made fit to be shown: secrets become `***`, control characters are written out."""

import base64
import json
import re
from collections.abc import Iterable, Iterator

#: Shorter values are no secrets and would mask half of an ordinary log.
MIN_LENGTH = 4
SHOWN = "***"

#: Characters that stand for six bits each in base64, in both of its alphabets.
_BASE64 = str.maketrans("+/", "-_")
#: Characters of a line of base64: of `base64` and MIME (RFC 2045), and of PEM (RFC 7468).
_BASE64_WIDTHS = (76, 64)
#: A shorter last line says little of the secret, and may be an ordinary word.
_LEAST_REST = 8


class Mask:
    """Replaces known secrets, in plain, URL, JSON and base64 form.

    A secret of several lines is known by each of its lines too, as output comes in lines. Base64
    is known wherever in the encoded text the secret begins.
    """

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-form[0], -len(form[1]), form[1]))
        self._pattern = re.compile("|".join(form[1] for form in longest_first)) if forms else None

    def __call__(self, text: str) -> str:
        """The text without any secret in it."""
        return self._pattern.sub(SHOWN, text) if self._pattern else text


def escape_controls(text: str) -> str:
    """The text with every character that is not printable written out, such as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _forms(secret: str) -> Iterator[tuple[int, str]]:
    """The secret's forms: how many characters of secret each covers, and its regular expression."""
    for part in {secret, secret.strip(), *map(str.strip, secret.splitlines())}:
        if len(part) < MIN_LENGTH:
            continue
        yield len(part), "".join(map(_write, part))
        for encoded in _encode(part):
            yield len(part), re.escape(encoded)
        for line in _wrap(part):
            yield len(line) * 6 // 8, re.escape(line)


def _write(letter: str) -> str:
    """A regular expression for every way in which a URL or a JSON text writes a character."""
    if letter.isascii() and letter.isalnum():
        return letter
    units, raw = _units(letter), letter.encode(errors="surrogatepass")
    ways = {letter, json.dumps(letter)[1:-1]}
    ways |= {" ": {"+"}, "/": {"\\/"}, "\n": {"\r\n"}}.get(letter, set())
    for digit in ("X", "x"):
        ways.add("".join(f"%{byte:02{digit}}" for byte in raw))
        ways.add("".join(f"\\u{unit:04{digit}}" for unit in units))
    longest_first = sorted(ways, key=lambda way: (-len(way), way))
    return f"(?:{'|'.join(map(re.escape, longest_first))})"


def _units(letter: str) -> list[int]:
    raw = letter.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


def _encode(part: str) -> Iterator[str]:
    """The base64 of a secret at each of the three offsets a byte can have in it."""
    raw = part.encode(errors="surrogatepass")
    texts = set()
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).decode()
        # The first and last characters have bits of what stands around the secret.
        first, end = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        texts |= {encoded[first:], encoded[first:].rstrip("="), encoded[first:end]}
    for text in texts:
        if len(text) >= MIN_LENGTH:
            yield text
            yield text.translate(_BASE64)


def _wrap(part: str) -> Iterator[str]:
    """The lines of a long secret's base64 as programs break them, if nothing stands before it."""
    raw = part.encode(errors="surrogatepass")
    encoded = base64.b64encode(raw).decode()[: len(raw) * 8 // 6]
    for width in _BASE64_WIDTHS:
        if len(encoded) <= width:
            continue
        lines = (encoded[at : at + width] for at in range(0, len(encoded), width))
        yield from (line for line in lines if len(line) >= _LEAST_REST)
