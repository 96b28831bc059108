"""The page on extensions has each of them, with its manual and where it may be declared."""

import pytest

from sloth_ci.extension.finding import find_extension, known_modules
from tests.docs.pages import DOCS, find_part

PAGE = "docs/extensions.md"


@pytest.mark.parametrize("name", known_modules())
def test_each_extension_has_its_manual_there(name: str) -> None:
    part = find_part(PAGE, f"`{name}`")
    (fence,) = part.fences
    directive, file = fence.info.split()
    assert directive == "{manual}"
    assert file in (f"../extensions/{name}.py", f"../extensions/{name}/__init__.py")
    assert (DOCS / file).exists()


def test_the_table_says_where_each_may_be_declared() -> None:
    table = find_part(PAGE, "Which there are").table("Module")
    written = {row[0].partition("`")[2].partition("`")[0]: row[2] for row in table}
    assert written == {
        name: ", ".join(
            where
            for where, may in (
                ("apps", find_extension(name).for_apps),
                ("server", find_extension(name).for_server),
            )
            if may
        )
        for name in known_modules()
    }
