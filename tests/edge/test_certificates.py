from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from gateway.edge.certificates import LOCAL, RENEW_DAYS, SERVER_DAYS, ensure

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_server_certificate_is_of_the_authority(tmp_path: Path) -> None:
    made = ensure(tmp_path, now=NOW)
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    server = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    policy = PolicyBuilder().store(Store([authority])).time(NOW.replace(tzinfo=None))
    assert len(policy.build_server_verifier(x509.DNSName("localhost")).verify(server, [])) == 2
    assert made.key.stat().st_mode & 0o777 == 0o600


def test_both_are_kept(tmp_path: Path) -> None:
    first = contents(tmp_path, NOW)
    assert contents(tmp_path, NOW + timedelta(days=1)) == first


def test_the_server_certificate_is_renewed_before_it_ends(tmp_path: Path) -> None:
    first = contents(tmp_path, NOW)
    later = contents(tmp_path, NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS + 1))
    assert later[0] == first[0]
    assert later[1] != first[1]


def test_another_name_needs_another_certificate(tmp_path: Path) -> None:
    first = contents(tmp_path, NOW)
    assert contents(tmp_path, NOW, (*LOCAL, "motcua.example"))[1] != first[1]


def test_a_torn_pair_is_made_again(tmp_path: Path) -> None:
    first = contents(tmp_path, NOW)
    (tmp_path / "ca.key").write_bytes((tmp_path / "server.key").read_bytes())
    later = contents(tmp_path, NOW)
    assert later[0] != first[0]
    assert later[1] != first[1]


def contents(folder: Path, now: datetime, names: tuple[str, ...] = LOCAL) -> tuple[bytes, bytes]:
    made = ensure(folder, names, now)
    return made.authority.read_bytes(), made.certificate.read_bytes()
