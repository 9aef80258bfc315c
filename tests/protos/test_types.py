"""What several APIs share, held against the stored facts that it is read from."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import EnumDescriptor

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.notification.events.v1 import events_pb2 as notification
from motcua.types.v1 import types_pb2 as types

SHARED = (
    (types.Channel, dossier.Channel),
    (types.ComponentSource, dossier.ComponentSource),
    (types.FeeCondition, dossier.FeeCondition),
    (types.TermUnit, dossier.TermUnit),
    (types.Language, identity.Language),
    (types.Language, notification.Language),
)


@pytest.mark.parametrize(
    ("shared", "stored"),
    [(shared.DESCRIPTOR, stored.DESCRIPTOR) for shared, stored in SHARED],
    ids=lambda enum: enum.full_name,
)
def test_what_is_stored_has_a_name_in_the_api(shared: EnumDescriptor, stored: EnumDescriptor) -> None:
    assert numbers(shared) == numbers(stored)


def numbers(enum: EnumDescriptor) -> dict[str, int]:
    return {value.name: value.number for value in enum.values}
