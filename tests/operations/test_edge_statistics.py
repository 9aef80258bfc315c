"""The edge's statistics are for a scraper; the rest of Envoy's admin interface is for nobody."""

from __future__ import annotations

import pytest

from tests.operations.conftest import Scraped


@pytest.mark.asyncio(loop_scope="package")
async def test_a_scraper_sees_what_the_edge_answered(scraped: Scraped) -> None:
    def total(name: str, **labels: str) -> float:
        return sum(value for found, value in scraped.series[name] if labels.items() <= found.items())

    assert {200, 429, 503} == set(scraped.answers)
    by_class = "envoy_cluster_upstream_rq_xx"
    assert total(by_class, envoy_cluster_name="grpc-catalogue", envoy_response_code_class="2") == scraped.answers.count(
        200
    )
    assert total(by_class, envoy_cluster_name="grpc-dossier", envoy_response_code_class="5") == 1
    assert total(by_class, envoy_cluster_name="http-status", envoy_response_code_class="5") == 1
    limited = "envoy_http_local_rate_limit_rate_limited"
    assert total(limited, envoy_local_http_ratelimit_prefix="edge") == scraped.answers.count(429)
    assert total("envoy_listener_ssl_certificate_expiration_unix_time_seconds", envoy_tls_certificate="server") > 0


@pytest.mark.asyncio(loop_scope="package")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ready", 200),
        ("GET", "/metrics", 200),
        ("POST", "/metrics", 404),
        ("GET", "/", 404),
        ("GET", "/stats", 404),
        ("GET", "/config_dump", 404),
        ("POST", "/quitquitquit", 404),
        ("POST", "/ready", 404),
        ("GET", "/metrics/../config_dump", 404),
    ],
)
async def test_nothing_else_of_the_admin_interface_is_reached(
    scraped: Scraped, method: str, path: str, status: int
) -> None:
    assert (await scraped.http.request(method, path)).status_code == status
