"""Why a file is not taken: a reason of the service's errors, and what its text needs."""

from __future__ import annotations

from services.dossier.refusals import Reason


class FileFaulty(Exception):
    def __init__(self, reason: Reason, **facts: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts


def damaged(media_type: str) -> FileFaulty:
    """The fault of a file that ends too early, or cannot be read to its end."""
    return FileFaulty("UPLOAD_DAMAGED", media_type=media_type)
