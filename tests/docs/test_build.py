"""The docs build without a warning, their links lead somewhere, and they know the version."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sloth_ci import __version__
from tests.docs.pages import DOCS, PAGES, ROOT, read_page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docs as HTML."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(DOCS), str(folder / "html")],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_the_docs_build_with_warnings_as_errors(site: Path) -> None:
    assert {file.stem for file in site.glob("*.html")} >= {file.stem for file in DOCS.glob("*.md")}


def test_every_link_between_pages_leads_to_a_page_and_a_place_on_it(site: Path) -> None:
    broken = []
    for page in site.glob("*.html"):
        for target in re.findall(r'href="([^":]*\.html)?#([^"]+)"', page.read_text()):
            file = site / (target[0] or page.name)
            if not file.exists() or f'id="{target[1]}"' not in file.read_text():
                broken.append(f"{page.name} -> {target[0]}#{target[1]}")

    assert broken == []


def test_manuals_of_providers_are_built_in_with_their_yaml_marked(site: Path) -> None:
    page = (site / "providers.html").read_text()

    assert "X-Hub-Signature-256" in page
    assert page.count('class="highlight-yaml') >= 10


def test_the_readme_links_to_pages_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_current_version_has_a_heading_in_the_changelog() -> None:
    titles = [part.title for part in read_page("docs/changelog.md") if part.level == 2]

    assert titles[0] == __version__


@pytest.mark.parametrize("page", PAGES)
def test_a_page_starts_with_its_only_first_level_heading(page: str) -> None:
    levels = [part.level for part in read_page(page) if part.title]

    assert levels[0] == 1
    assert levels.count(1) == 1


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_place_of_the_machine_it_was_written_on(page: str) -> None:
    text = (ROOT / page).read_text()

    assert f"{ROOT}/" not in text
    assert str(Path.home()) + "/" not in text
