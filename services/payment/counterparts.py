"""What payments store, and the same in the API."""

from motcua.payment.events.v1 import events_pb2 as stored
from motcua.payment.v1 import payment_pb2 as shown
from motcua.types.v1 import types_pb2 as types
from services.chassis.calls.counterparts import Messages, Values

METHOD: Values[int] = Values(stored.PaymentMethod, shown.PaymentMethod)
REFUND_CAUSE: Values[int] = Values(stored.RefundCause, shown.RefundCause)
ITEM = Messages(stored.FeeItem, types.FeeItem, only_shown={"charge_code", "waived"})
