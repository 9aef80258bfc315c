"""What both profiles become is looked at whenever it changes."""

from __future__ import annotations

from difflib import unified_diff

import pytest

from tests.charts.chart import PROFILES
from tests.charts.golden import path, rendered

AGAIN = "If that is meant: python -m tests.charts.golden, and look at git diff."


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_becomes_what_it_became(profile: str) -> None:
    before, now = path(profile).read_text().splitlines(), rendered(profile).splitlines()
    difference = "\n".join(unified_diff(before, now, "golden", "now", lineterm="", n=8))
    assert not difference, f"{profile}:\n{difference}\n{AGAIN}"
