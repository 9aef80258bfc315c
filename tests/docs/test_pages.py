"""Pages that are made from the code are as it is now, and those that name places in the repository name some that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.document import DOCS, PAGES, STATUS, described
from services.chassis.platform.settings import Settings

DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))
UNITS = re.compile(r"\b(seconds|days|calls|watchers|share|port|where .* (listens|serves))\b", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_is_as_the_code_makes_it(page: Path) -> None:
    assert page.read_text() == PAGES[page](), "run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    assert set(Settings.model_fields) - dict(described(Settings)).keys() == set()


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
)
def test_a_number_says_of_what(name: str) -> None:
    assert UNITS.search(dict(described(Settings))[name])


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_whether_it_holds(path: Path) -> None:
    assert len(STATUS.findall(path.read_text())) == 1
