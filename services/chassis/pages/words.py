"""The words of pages: a TOML file for each language, with names that are joined by dots."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def words_of(folder: Path, language: str) -> dict[str, str]:
    """Of `vi.toml` or `en.toml` in it: `[home]` with `title = "…"` is `home.title`."""
    return dict(_flat(tomllib.loads((folder / f"{language}.toml").read_text("utf-8"))))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, str):
            yield prefix + key, value
        else:
            yield from _flat(value, f"{prefix}{key}.")
