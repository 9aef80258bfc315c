"""Every event of a dossier has a letter, or none on purpose."""

from services.law.course import FACTS, UNMOVED
from services.notification.letters import TOLD, UNTOLD


def test_every_event_of_a_dossier_is_told_or_left_untold_on_purpose() -> None:
    told, untold = {kind.DESCRIPTOR.name for kind in TOLD}, {kind.DESCRIPTOR.name for kind in UNTOLD}
    assert told | untold == FACTS.keys() | UNMOVED
    assert not told & untold
