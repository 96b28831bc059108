"""Pages of the docs as data: headings, tables and fenced blocks, by a Markdown parser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = ("README.md", *sorted(f"docs/{file.name}" for file in DOCS.glob("*.md")))


@dataclass(frozen=True)
class Fence:
    """A fenced block: what stands behind its opening, its text, its line in the page."""

    info: str
    text: str
    page: str
    line: int

    @property
    def where(self) -> str:
        """The block's place, for the name of a test."""
        return f"{self.page}:{self.line}"


@dataclass
class Part:
    """A heading and what stands below it, up to the next heading of any level."""

    title: str
    level: int
    #: Rows of cells in Markdown, the header included.
    tables: list[list[list[str]]] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """What the heading has in backticks."""
        return quoted(self.title)

    def table(self, first_column: str) -> list[list[str]]:
        """The rows, without the header, of the table whose first column has that title."""
        return next((rows[1:] for rows in self.tables if rows[0][0] == first_column), [])


@cache
def read_page(page: str) -> tuple[Part, ...]:
    """The parts of a page; what stands before the first heading is in a part without a title."""
    tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text())
    parts = [Part("", 0)]
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            parts.append(Part(tokens[number + 1].content, int(token.tag[1:])))
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            parts[-1].fences.append(Fence(token.info, token.content, page, line))
        elif token.type == "paragraph_open":
            parts[-1].paragraphs.append(tokens[number + 1].content)
        elif token.type == "table_open":
            parts[-1].tables.append([])
        elif token.type == "tr_open":
            parts[-1].tables[-1].append(list(_cells(tokens, number)))
    return tuple(parts)


def find_part(page: str, title: str) -> Part:
    """The part with that heading."""
    return next(part for part in read_page(page) if part.title == title)


def parts_below(page: str, title: str) -> list[Part]:
    """The parts with headings below that heading, at whatever depth."""
    parts = read_page(page)
    first = next(number for number, part in enumerate(parts) if part.title == title)
    below = []
    for part in parts[first + 1 :]:
        if part.level <= parts[first].level:
            break
        below.append(part)
    return below


def fences(page: str) -> list[Fence]:
    """All fenced blocks of a page."""
    return [fence for part in read_page(page) for fence in part.fences]


def quoted(text: str) -> list[str]:
    """What stands in backticks."""
    return text.split("`")[1::2]


def _cells(tokens: list[Token], row: int) -> Iterator[str]:
    for token in tokens[row:]:
        if token.type == "tr_close":
            return
        if token.type == "inline":
            yield token.content
