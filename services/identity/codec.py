"""Identity's facts <-> motcua.identity.events.v1."""

from motcua.identity.events.v1 import events_pb2
from services.chassis.deciding.codec import Codec
from services.identity.accounts.events import AccountEvent
from services.identity.administration.events import AdministratorNamed
from services.identity.signing_keys.events import SigningKeyEvent
from services.identity.systems.events import SystemEvent

account_codec: Codec[AccountEvent] = Codec(AccountEvent, events_pb2)
system_codec: Codec[SystemEvent] = Codec(SystemEvent, events_pb2)
signing_codec: Codec[SigningKeyEvent] = Codec(SigningKeyEvent, events_pb2)
administration_codec: Codec[AdministratorNamed] = Codec(AdministratorNamed, events_pb2)
