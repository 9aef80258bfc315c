"""What an edge tells a scraper after a few calls: answered, refused for their number, and led to a service that is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from gateway.edge import certificates
from gateway.edge.envoy import Address, Edge, Mutual, Tls
from gateway.edge.process import EdgeProcess
from scripts.build_protos import ROOT
from tests.edge.trial import any_service
from tests.support.authority import Authority

BURST = 20
Series = dict[str, list[tuple[dict[str, str], float]]]


def series(text: str) -> Series:
    """The samples of an exposition, by name as it is written: the parser would rename counters without `_total`."""
    found: Series = {}
    untyped = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    for family in text_string_to_metric_families(untyped):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@dataclass
class Scraped:
    http: httpx.AsyncClient
    """To the statistics' port."""
    answers: list[int]
    series: Series


async def _with_certificates(edge: Edge, folder: Path) -> Series:
    """What the same edge tells where the services have certificates."""
    files = Authority(folder / "site").give("edge", "edge.vn-56.internal")
    mutual = Mutual(site="vn-56", certificate=files.certificate, key=files.key, authority=files.authority)
    process = EdgeProcess(replace(edge, mutual=mutual), folder / "mutual")
    await process.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            return series((await http.get(f"http://127.0.0.1:{process.stats_port}/metrics")).text)
    finally:
        await process.stop(0.1)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def scraped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    folder = tmp_path_factory.mktemp("edge")
    files = certificates.ensure(folder / "certificates")
    async with any_service([]) as port:
        edge = Edge(
            port=0,
            host="127.0.0.1",
            tls=Tls(port=0, certificate=files.certificate, key=files.key),
            descriptors=ROOT / "build" / "descriptors.binpb",
            services={"catalogue": Address("127.0.0.1", port), "dossier": Address("127.0.0.1", 1)},
            pages={"status": Address("127.0.0.1", 1)},
            rate=1,
            burst=BURST,
            access_log=folder / "access.log",
            stats_port=0,
        )
        process = EdgeProcess(edge, folder / "envoy")
        await process.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False) as public:
                paths = ["/v1/dossiers", "/", *["/v1/procedures"] * (2 * BURST)]
                answers = [(await public.get(path)).status_code for path in paths]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.stats_port}", trust_env=False) as http:
                text = (await http.get("/metrics")).text
                yield Scraped(http, answers, await _with_certificates(edge, folder) | series(text))
        finally:
            await process.stop(0.1)
