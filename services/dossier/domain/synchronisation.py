"""Which of its facts another site confirms to hold."""

from __future__ import annotations

from services.dossier.commands import ConfirmSynchronisation
from services.dossier.domain.guards import require_exists, stamp_of
from services.dossier.domain.state import Dossier
from services.dossier.events import DossierSynchronised, Events
from services.dossier.refusals import Refused


def confirm(command: ConfirmSynchronisation, dossier: Dossier) -> Events:
    require_exists(dossier)
    if not 0 <= command.peer_revision <= dossier.revision:
        raise Refused("REVISION_CONFLICT", revision=str(dossier.revision), expected=str(command.peer_revision))
    return (
        DossierSynchronised(
            **stamp_of(command, dossier), peer=command.by.actor_id, peer_revision=command.peer_revision
        ),
    )
