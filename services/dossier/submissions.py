"""Submitting: one at a time where a person's exemptions are counted, and a code only for what will be accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.call import Call
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.following.views import RunningView, Snapshot
from services.chassis.store.port import NO_STREAM
from services.chassis.work.batching import Batched
from services.dossier import commands as c
from services.dossier.benefits import Benefits, is_limited
from services.dossier.codes import Given, Wanted, codes_of_request, forget
from services.dossier.counterparts import CHANNEL
from services.dossier.domain.state import Dossier
from services.dossier.domain.submission import require_acceptable
from services.dossier.draft.domain import CLAIMED
from services.dossier.drafts import Drafts
from services.dossier.events import Event
from services.dossier.intake import Intake, require_open_window
from services.dossier.law import Law
from services.dossier.refusals import Refused
from services.dossier.request_parts import fee_id_of
from services.dossier.uploads import owner_of
from services.law.days import ZONE, local_day

CODE_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Submissions:
    dossiers: Handler[c.Command, Dossier, Event]
    drafts: Drafts
    intake: Intake
    benefits: Benefits
    law: Snapshot[Law]
    codes: RunningView
    allocation: Batched[Wanted, Given]

    async def submit(self, call: Call[pb.SubmitDossierRequest]) -> Outcome[Event]:
        """What submitting leads to, now or before, or would lead to.

        Raises as Intake.submission and SubmitDossier; Rejected CODES_EXHAUSTED, OVERLOADED.
        """
        if call.validate_only:
            return Outcome(tuple(require_acceptable(await self._submission(call))), NO_STREAM, 0)
        procedure = (await self.law.get()).offered(call.request.procedure_code, call.now)
        if procedure is None or not is_limited(procedure, local_day(call.now)):
            return await self._submit(call)
        async with self.benefits.turns.turn(call.request.applicant_id or call.caller.account_id):
            return await self._submit(call)

    async def _submit(self, call: Call[pb.SubmitDossierRequest]) -> Outcome[Event]:
        try:
            submission = await self._acceptable(call)
        except Rejected:
            # What was accepted once is answered for ever, whatever the law says by now.
            given = await self.codes.read(lambda db: codes_of_request(db, call.origin.request_id))
            if earlier := await self._submitted_as(given, call.origin):
                return earlier
            raise
        return await self._accept(submission, call.origin)

    async def _acceptable(self, call: Call[pb.SubmitDossierRequest]) -> c.Submission:
        """What is refused takes no code, and its files stay the uploader's."""
        submission = await self._submission(call)
        require_acceptable(submission)
        await self.intake.uploads.take(owner_of(call.caller), submission.applicant_id, submission.uploaded)
        return submission

    async def _submission(self, call: Call[pb.SubmitDossierRequest]) -> c.Submission:
        channel = CHANNEL.stored(call.request.channel)
        sender = require_open_window(self.intake.settings, channel, call.caller, call.now)
        await self.drafts.require_usable(call)
        return await self.intake.submission(call, sender, await self.law.get())

    async def _accept(self, submission: c.Submission, origin: Origin) -> Outcome[Event]:
        wanted = Wanted(
            submission.reception_agency, submission.at.astimezone(ZONE).strftime("%Y%m%d"), origin.request_id
        )
        for _ in range(CODE_ATTEMPTS):
            found = await self.allocation.get(wanted)
            if found is None:
                raise Refused("CODES_EXHAUSTED", organisation=wanted.organisation)
            if earlier := await self._submitted_as(found.others, origin):
                return earlier
            try:
                fee_id = fee_id_of(origin.request_id, found.code)
                command = c.SubmitDossier(code=found.code, fee_id=fee_id, submission=submission)
                await self.drafts.claim(command, origin)
                async with asyncio.timeout(CLAIMED.total_seconds() / 2):
                    return await self.dossiers.execute(found.code, command, origin, creates=True)
            except TimeoutError:
                raise Refused("OVERLOADED") from None
            except Rejected as rejected:
                if rejected.reason != "ALREADY_SUBMITTED":
                    raise
                await self.codes.write(partial(forget, code=found.code))
        raise Refused("OVERLOADED")

    async def _submitted_as(self, codes: Sequence[str], origin: Origin) -> Outcome[Event] | None:
        for code in codes:
            if earlier := await self.dossiers.outcome_of(code, origin):
                return earlier
        return None
