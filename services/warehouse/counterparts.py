"""What documents store, and the same in the API."""

from motcua.warehouse.events.v1 import events_pb2 as stored
from motcua.warehouse.v1 import warehouse_pb2 as shown
from services.chassis.calls.counterparts import Values

SOURCE: Values[int] = Values(stored.DocumentSource, shown.DocumentSource)
