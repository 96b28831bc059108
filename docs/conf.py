"""How the docs are built: `sphinx-build -W -b html docs docs/_build`."""

import ast
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from sloth_ci import __version__

SOURCES = Path(__file__).parent.parent / "sloth_ci"

project = "Sloth CI"
author = "Konstantin Molchanov and contributors"
version = release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_show_copyright = False
html_show_sourcelink = False
myst_heading_anchors = 3


class Manual(SphinxDirective):
    """Puts in the docstring of a module of the package, such as `validators/github.py`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The docstring, read as Markdown."""
        file = SOURCES / self.arguments[0]
        self.env.note_dependency(str(file))
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")), clean=False)
        lines = cleandoc(docstring or "").splitlines()
        if not any(line.startswith("```") for line in lines):
            lines = fence_yaml(lines)
        section = nodes.container()
        self.state.nested_parse(StringList(lines, str(file)), 0, section)
        return section.children


def fence_yaml(lines: list[str]) -> list[str]:
    """The lines with each indented block, which in our manuals is YAML, marked as such."""
    fenced: list[str] = []
    depth = ["    " if line.startswith("    ") else "" for line in lines]
    for number, line in enumerate(lines):
        # A blank line belongs to the block when the next text after it does.
        if not line:
            depth[number] = next((depth[n] for n in range(number, len(lines)) if lines[n]), "")
    for indent, group in groupby(zip(depth, lines, strict=True), key=lambda pair: pair[0]):
        block = [line.removeprefix(indent) for _depth, line in group]
        fenced += ["", "```yaml", *block, "```", ""] if indent else block
    return fenced


def setup(app: Any) -> None:
    """Make the directive known to Sphinx."""
    app.add_directive("manual", Manual)
