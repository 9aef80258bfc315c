"""Pages that are made from the code are as it is now, and those that name places in the repository name some that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.document import DOCS, PAGES, ROOT, STATUS, described
from services.settings import SiteSettings

README_LINES = 150
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))
UNITS = re.compile(r"\b(seconds|days|calls|watchers|share|port|where .* (listens|serves))\b", re.IGNORECASE)

# `path` or `path::name`, below the root: what is in the page's code spans and begins as something there does.
NAMED = re.compile(r"`(\.?[\w-]+(?:/[\w.-]*)+|[\w-]+\.(?:md|toml|yaml))(?:::(\w+))?`")
NAMES = sorted(set(NAMED.findall((DOCS / "contributing.md").read_text())))
DEFINED = r"^\s*(?:async )?(?:def|class|rpc|message|enum) {0}\b|^{0}\b.*="


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_is_as_the_code_makes_it(page: Path) -> None:
    assert page.read_text() == PAGES[page](), "run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    assert set(SiteSettings.model_fields) - dict(described(SiteSettings)).keys() == set()


@pytest.mark.parametrize(
    "name", [name for name, field in SiteSettings.model_fields.items() if field.annotation in (int, float)]
)
def test_a_number_says_of_what(name: str) -> None:
    assert UNITS.search(dict(described(SiteSettings))[name])


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_whether_it_holds(path: Path) -> None:
    assert len(STATUS.findall(path.read_text())) == 1


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < README_LINES


@pytest.mark.parametrize(("path", "name"), NAMES, ids=lambda value: value or "all")
def test_what_the_recipes_name_is_there(path: str, name: str) -> None:
    there = ROOT / path
    assert there.exists()
    assert not name or re.search(DEFINED.format(name), there.read_text(), re.MULTILINE)
