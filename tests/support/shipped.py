"""The law that is shipped with the program, read once in a process."""

from __future__ import annotations

from functools import cache

from services.catalogue.loader import Catalogue, load


@cache
def shipped() -> Catalogue:
    return load()
