from __future__ import annotations

import pytest

# The longest files: begun first, they do not keep one worker busy when the others are done.
LONGEST = ("test_crash.py", "test_readme.py", "test_schemathesis.py", "test_scenarios.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
