"""The public ledger as the public reads it: through a real Envoy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import KeySet, OKPKey

from gateway.edge.envoy import Address, Edge, Jwt
from gateway.edge.process import EdgeProcess
from gateway.ledger.format import merkle, proof
from gateway.ledger.format.checkpoint import TreeHead
from gateway.ledger.format.note import CoSigner, Note, Signer, Verifier, parse_signatures
from gateway.ledger.format.proof import TlogProof
from gateway.ledger.keep.witness import AddCheckpoint
from gateway.ledger.service import LedgerService
from scripts.build_protos import ROOT, build
from services.chassis.store.sqlite import SqliteStore
from services.registry import SERVICES
from tests.ledger.site import code_of, play
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys

SIZE = 300
(LONGEST,) = {page.max_request_bytes for page in SERVICES["ledger"].pages}
OTHER = Signer("vn.motcua.local/ledger", b"o" * 32)
WITNESS_KEY = b"w" * 32
WITNESS = CoSigner("vn-56.motcua.local/witness", WITNESS_KEY)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    build()
    folder = tmp_path_factory.mktemp("ledger-edge")
    keys = MemoryKeys()
    key = OKPKey.generate_key("Ed25519", {"kid": "test", "alg": "EdDSA"})
    (folder / "jwks.json").write_text(json.dumps(KeySet([key]).as_dict()))
    store = await SqliteStore.open(folder / "events.db")
    await play(store, keys, SIZE, 1)
    await store.close()
    service = type("Hosted", (LedgerService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(folder, [service], ledger_witnessed=OTHER.vkey, witness_key=WITNESS_KEY.hex()) as host:
        name, _, port = host.platform.http_addresses["ledger"].rpartition(":")
        edge = Edge(
            port=0,
            host="127.0.0.1",
            descriptors=ROOT / "build" / "descriptors.binpb",
            services={},
            pages={"ledger": Address(name, int(port))},
            jwt=Jwt(jwks=folder / "jwks.json"),
            access_log=folder / "access.log",
        )
        process = EdgeProcess(edge, folder / "envoy")
        await process.start()
        try:
            url = f"http://127.0.0.1:{process.port}"
            async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
                yield client
        finally:
            await process.stop(1)


@pytest.mark.parametrize(
    ("path", "caching"),
    [
        ("/ledger/checkpoint", "no-cache"),
        ("/ledger/tile/0/000", "public, max-age=31536000, immutable"),
        ("/ledger/tile/0/001.p/44", "public, max-age=31536000, immutable"),
        ("/ledger/tile/entries/000", "public, max-age=31536000, immutable"),
        ("/ledger/", "no-cache"),
        (f"/ledger/receipts/{code_of(3)}/0", "no-cache"),
    ],
)
@pytest.mark.parametrize("token", ["", "Bearer no.token.at-all"])
async def test_everybody_reads_it_and_may_keep_what_never_changes(
    client: httpx.AsyncClient, path: str, caching: str, token: str
) -> None:
    answer = await client.get(path, headers={"authorization": token} if token else {})
    assert (answer.status_code, answer.headers.get_list("cache-control")) == (200, [caching])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("content-disposition" in answer.headers) == ("receipts" in path)


async def test_a_page_of_anybody_may_read_it(client: httpx.AsyncClient) -> None:
    origin = {"origin": "https://watchdog.example"}
    for path in ("/ledger/checkpoint", "/ledger/tile/0/000", f"/ledger/receipts/{code_of(3)}/0", "/ledger/vkey"):
        answer = await client.get(path, headers=origin)
        assert answer.headers["access-control-allow-origin"] == origin["origin"]
        assert (await client.head(path)).status_code == 200
    asked = origin | {"access-control-request-method": "GET"}
    answer = await client.options("/ledger/checkpoint", headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-methods"]) == (200, "GET, HEAD, OPTIONS")
    assert (await client.put("/ledger/checkpoint")).status_code == 405


async def test_entries_arrive_compressed_once(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ledger/tile/entries/001.p/44", headers={"accept-encoding": "gzip, br"})
    assert answer.headers.get_list("content-encoding") == ["gzip"]
    assert answer.content[2:].startswith(b'{"code":"P56')


async def test_a_receipt_holds(client: httpx.AsyncClient) -> None:
    log = Verifier.parse((await client.get("/ledger/vkey")).text.strip())
    receipt = TlogProof.parse((await client.get(f"/ledger/receipts/{code_of(3)}/0")).content)
    assert proof.verify_event(receipt, log).leaf.code == code_of(3)


async def test_what_there_is_not_is_said_by_the_ledger_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/ledger/receipts/{code_of(999)}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "The ledger has no such dossier" in answer.text


async def test_the_address_without_a_slash_leads_to_the_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ledger", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/ledger/")


async def test_operations_stay_inside(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 404
    assert (await client.get("/ledger/metrics")).status_code == 404


async def test_another_site_gets_its_cosignature(client: httpx.AsyncClient) -> None:
    text = TreeHead(OTHER.verifier.name, 0, merkle.EMPTY_ROOT).format()
    asked = AddCheckpoint(0, (), Note(text, (OTHER.sign(text),)))
    answer = await client.post("/ledger/witness/add-checkpoint", content=asked.format())
    assert answer.status_code == 200
    (signature,) = parse_signatures(answer.text)
    assert WITNESS.verifier.verify(text, signature)
    conflict = await client.post("/ledger/witness/add-checkpoint", content=asked.format().replace(b"old 0", b"old 5"))
    assert conflict.status_code == 400
    assert (await client.get("/ledger/witness/add-checkpoint")).status_code == 405


async def test_the_witness_reads_no_more_than_a_checkpoint_needs(client: httpx.AsyncClient) -> None:
    for path in ("/ledger/witness/add-checkpoint", "/ledger/checkpoint"):
        assert (await client.post(path, content=b"x" * (LONGEST + 1))).status_code == 413
    assert (await client.post("/ledger/witness/add-checkpoint", content=b"x" * (LONGEST - 1))).status_code == 400
