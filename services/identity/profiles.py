"""What a person changes of the own contact data."""

from __future__ import annotations

from motcua.identity.v1 import identity_pb2
from motcua.identity.v1 import identity_service_pb2 as pb
from services.chassis.calls.call import Call
from services.identity.accounts.commands import ChangeProfile
from services.identity.accounts.values import Language
from services.identity.counterparts import LANGUAGE
from services.identity.reading import member


def profile_changed(
    call: Call[pb.UpdateProfileRequest], updates: frozenset[str], before: identity_pb2.Account
) -> ChangeProfile:
    """The whole of it, as the event keeps it."""
    request = call.request
    if "language" in updates:
        language = member(Language, LANGUAGE.stored(request.language), "language")
    else:
        language = Language(LANGUAGE.stored(before.language) or Language.VIETNAMESE.value)
    return ChangeProfile(
        account_id=before.account_id,
        at=call.now,
        by=call.caller.actor,
        email=request.email if "email" in updates else before.email,
        phone=request.phone if "phone" in updates else before.phone,
        language=language,
    )
