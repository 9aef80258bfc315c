"""The settings that lead the services to the sandboxes of the national systems, where no real one is configured."""

from __future__ import annotations

import hashlib
import hmac

from services.chassis.platform.settings import Settings


def pointed(settings: Settings) -> Settings:
    """What is configured for a real system stays; outside of a trial everything does."""
    if not settings.sandbox:
        return settings
    base = f"{settings.url}/sandbox"
    return settings.model_copy(
        update={
            "vneid_url": settings.vneid_url or f"{base}/vneid",
            "vneid_client_secret": settings.vneid_client_secret or shared_secret(settings, "sandbox-vneid"),
            "population_url": settings.population_url or f"{base}/population",
            "population_secret": settings.population_secret or shared_secret(settings, "sandbox-population"),
            "vnpay_url": settings.vnpay_url or f"{base}/vnpay/paymentv2/vpcpay.html",
            "vnpay_api_url": settings.vnpay_api_url or f"{base}/vnpay/merchant_webapi/api/transaction",
            "vnpay_secret": settings.vnpay_secret or shared_secret(settings, "sandbox-vnpay"),
        }
    )


def shared_secret(settings: Settings, name: str) -> str:
    """The same in every process of the site: from its service secret, or from the data folder that they share."""
    if settings.service_secret:
        return hmac.new(settings.service_secret.encode(), f"motcua/{name}".encode(), hashlib.sha256).hexdigest()
    return settings.secret(name, "")
