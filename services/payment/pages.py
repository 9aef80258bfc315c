"""The page on which the provider leaves the payer: what happens next, in Vietnamese and English."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

from motcua.payment.v1 import payment_pb2 as p
from services.chassis.pages.security_headers import stylesheet
from services.chassis.pages.templates import environment
from services.payment.commands import PaymentOutcome
from services.payment.reading import CANCELLED, PAID, REFUNDED, REFUNDING
from services.payment.vnpay import Callback, Disbelieved

_FOLDER = Path(__file__).parent / "templates"
_TEMPLATES = environment(_FOLDER)
style = stylesheet(_FOLDER / "return.css")


class Next(Enum):
    """Name, HTTP status, and whether the page should look again."""

    PAID = ("paid", 200, False)
    WAITING = ("waiting", 200, True)
    REFUNDING = ("refunding", 200, False)
    FAILED = ("failed", 200, False)
    UNMATCHED = ("unmatched", 200, False)
    UNKNOWN = ("unknown", 400, False)


def next_of(said: Callback | Disbelieved, payment: p.Payment) -> Next:
    """The signed answer names the payment; what is recorded says how it stands."""
    if isinstance(said, Disbelieved) or not payment.fee_id:
        return Next.UNKNOWN
    kept = [taking for taking in payment.takings if taking.receipt_number]
    if said.outcome is PaymentOutcome.FAILED:
        return Next.PAID if payment.status == PAID else Next.FAILED
    mine = next((taking for taking in payment.takings if taking.transaction == said.transaction), None)
    if said.outcome is PaymentOutcome.UNSETTLED or mine is None:
        return Next.WAITING
    if mine.unmatched:
        return Next.REFUNDING if mine.HasField("refund") else Next.UNMATCHED
    returned = payment.status in (REFUNDING, REFUNDED, CANCELLED)
    return Next.REFUNDING if returned or kept[0].transaction != said.transaction else Next.PAID


def returned(said: Callback | Disbelieved, payment: p.Payment, url: str) -> Response:
    page = next_of(said, payment)
    name, status, again = page.value
    known = page is not Next.UNKNOWN
    html = _TEMPLATES.get_template("return.html").render(
        page=name,
        again=again,
        code=payment.dossier_code if known else "",
        amount=f"{payment.amount:,}",
        receipt=next((taking.receipt_number for taking in payment.takings if taking.receipt_number), ""),
        href=f"{url}/dossiers/{quote(payment.dossier_code)}" if known else url,
    )
    return HTMLResponse(html, status, {"cache-control": "no-store"})
