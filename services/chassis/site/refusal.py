"""What a site with stores that do not belong together, or that are damaged, says instead of starting."""

from __future__ import annotations

WAY_OUT = 'Nothing was changed; docs/backup.md ("Stores that do not belong together") says what to do.'


class SiteRefused(Exception):
    """One line for the operator: which store, what is wrong with it, where to read on."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. {WAY_OUT}")
        self.what = what
