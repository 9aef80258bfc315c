"""What dossiers store and are decided with, and the same in the API."""

from motcua.dossier.events.v1 import events_pb2 as stored
from motcua.dossier.v1 import dossier_pb2 as shown
from motcua.types.v1 import types_pb2 as types
from services.chassis.calls.counterparts import Messages, Values
from services.dossier import values as v
from services.law.course import FeeCondition, Finance, Settlement

CHANNEL: Values[v.Channel] = Values(v.Channel, types.Channel)
SOURCE: Values[v.ComponentSource] = Values(v.ComponentSource, types.ComponentSource)
CONDITION: Values[FeeCondition] = Values(FeeCondition, types.FeeCondition)
APPLICANT_KIND: Values[v.ApplicantKind] = Values(v.ApplicantKind, shown.ApplicantKind)
DELIVERY_METHOD: Values[v.DeliveryMethod] = Values(v.DeliveryMethod, shown.DeliveryMethod)
STOP_CAUSE: Values[v.StopCause] = Values(v.StopCause, shown.StopCause)
DATA_FAULT_KIND: Values[v.DataFaultKind] = Values(v.DataFaultKind, shown.DataFaultKind)
FINANCE: Values[Finance] = Values(Finance, shown.Finance)
DELIVERY: Values[v.Delivery] = Values(v.Delivery, shown.Delivery)
SYNCHRONISATION: Values[v.Synchronisation] = Values(v.Synchronisation, shown.Synchronisation)
# Nobody is shown a dossier before its submission.
SETTLEMENT = {state: shown.Settlement.Value(f"SETTLEMENT_{state.name}") for state in Settlement if state.value}

STORED_CHANNEL: Values[int] = Values(stored.Channel, types.Channel)
STORED_CONDITION: Values[int] = Values(stored.FeeCondition, types.FeeCondition)
STORED_APPLICANT_KIND: Values[int] = Values(stored.ApplicantKind, shown.ApplicantKind)
STORED_DELIVERY_METHOD: Values[int] = Values(stored.DeliveryMethod, shown.DeliveryMethod)
STORED_STOP_CAUSE: Values[int] = Values(stored.StopCause, shown.StopCause)
COMPONENTS = Messages(stored.Component, shown.Component)
FEE_ITEMS = Messages(stored.FeeItem, types.FeeItem)
