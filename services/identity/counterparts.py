"""What accounts and systems store, and the same in the API."""

from motcua.identity.events.v1 import events_pb2 as stored
from motcua.identity.v1 import identity_pb2 as shown
from motcua.types.v1 import types_pb2 as types
from services.chassis.calls.counterparts import Messages, Values

ACCOUNT_KIND: Values[int] = Values(stored.AccountKind, shown.AccountKind)
ERASURE_OUTCOME: Values[int] = Values(stored.ErasureOutcome, shown.ErasureOutcome)
LANGUAGE: Values[int] = Values(stored.Language, types.Language)
LOOKUP_GAP: Values[int] = Values(stored.LookupGap, shown.LookupGap)
PERSON_FIELD: Values[int] = Values(stored.PersonField, shown.PersonField)
SCOPE = Messages(stored.PurposeScope, shown.PurposeScope)
