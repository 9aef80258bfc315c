"""Settings from the environment, prefix MOTCUA_, checked before anything starts."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.certificates import Files, read

SERVICES = ("identity", "catalogue", "dossier", "payment", "notification", "warehouse", "status", "ledger")
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MOTCUA_", extra="forbid")

    data: Path = Path("data")
    """Everything that must survive: events, views, blobs, keys."""
    port: Annotated[int, Field(ge=1024, le=65000)] = 8080
    """The edge; TLS listens on the port 363 above it."""
    site: Annotated[str, Field(pattern=r"^vn(-\d{2})?$")] = "vn-56"
    event_store: Annotated[str, Field(pattern=r"^(memory:|sqlite:|(kurrentdb|esdb)(\+discover)?://\S+)$")] = "sqlite:"
    """`sqlite:` keeps events in the data folder; `memory:` forgets them; kurrentdb:// or esdb:// is a KurrentDB cluster."""
    database: Annotated[str, Field(pattern=r"^(postgresql\+psycopg://\S+)?$")] = ""
    """SQLAlchemy URL of the views, postgresql+psycopg://...; SQLite in the data folder if empty. A schema for each service."""
    blobs: Annotated[str, Field(pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/[\w.-]+)*/?|file:///\S+)?$")] = ""
    """s3://bucket/prefix or file:///folder of attachments, results and the ledger's files; the data folder if empty.

    A bucket's endpoint, region and credentials are those of the AWS_* variables.
    """
    grpc_port: Port = 0
    """Of a service that runs alone; 0 takes any free one."""
    http_port: Port = 0
    host: str = "127.0.0.1"
    public_url: str = ""
    """As citizens reach the edge; http://localhost:<port> if empty."""
    service_secret: Annotated[str, Field(pattern=r"^(.{32,})?$")] = ""
    """Shared by this site's services, at least 32 characters; made and kept in the data folder if empty."""
    master_key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """32 bytes in hexadecimal that wrap what wraps subjects' keys; made and kept in the data folder if empty."""
    master_key_previous: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """The one before, until `motcua keys rotate-master` is done."""
    key_cache_seconds: Annotated[float, Field(ge=0, le=3600)] = 300
    """How long a subject's key may be used after it was last asked for: an erasure takes effect within this time."""
    in_flight: Annotated[int, Field(ge=1)] = 512
    """Calls a service answers at a time; more are told to come back."""
    edge_rate: Annotated[int, Field(ge=1)] = 50
    """Calls a second that the edge lets through for one caller."""
    edge_burst: Annotated[int, Field(ge=1)] = 200
    streams: Annotated[int, Field(ge=1)] = 2000
    """Watchers a service serves at a time."""
    tls_certificate: Path | None = None
    """This process's certificate in the site, PEM: with its key and the site's authority, services speak mutual TLS.

    Read again when the files change. All three or none; none is for one machine, where they talk over the loopback.
    """
    tls_key: Path | None = None
    tls_authority: Path | None = None
    client_authority: Path | None = None
    """Authorities, PEM, whose client certificates the edge takes from other systems; nobody shows one if empty."""
    qr_key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """32 bytes in hexadecimal that seal printed QR codes; made and kept in the data folder if empty."""
    ledger_origin: Annotated[str, Field(pattern=r"^[^\s+]*$")] = ""
    """The name of this site's public ledger, for ever: its public address without scheme; <site>.motcua.local/ledger if empty."""
    ledger_key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Seed of the Ed25519 key that signs the ledger, 32 bytes in hexadecimal; made and kept in the data folder if empty."""
    ledger_checkpoint_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    """The least time between two checkpoints of the ledger."""
    ledger_witnesses: str = ""
    """Who cosigns our ledger: `<vkey> <url>` pairs with commas between; add-checkpoint is below the URL."""
    ledger_witnessed: str = ""
    """Logs that we cosign: their vkeys, with commas between."""
    ledger_witness_name: Annotated[str, Field(pattern=r"^[^\s+]*$")] = ""
    """Our name as a witness; <site>.motcua.local/witness if empty."""
    witness_key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """The same for the key that cosigns, which signs nothing else."""
    identity_address: str = ""
    """host:port of the identity service, for a service that runs alone.

    Of several replicas as gRPC names them: dns:///name:port where a name has all their addresses, ipv4:host:port,host:port.
    """
    smtp_url: str = ""
    """smtp://user:password@host:port of the mail server; e-mail stays off if empty.

    STARTTLS unless the scheme is smtps or `?tls=none` says otherwise; `?ca_file=` names authorities of its own.
    """
    mail_from: str = "motcua@localhost"
    """The sender: an address, or a name and an address as in `Name <address>`."""
    vneid_url: str = ""
    """The OIDC provider's issuer; the sandbox under `url` if empty."""
    vneid_client_id: str = "motcua"
    vneid_client_secret: str = ""
    vneid_trusted_clients: str = ""
    """Other clients of the provider, with blanks between, whose users' id tokens are exchanged too: the national portal."""
    vneid_hosts: str = ""
    """Other hosts, with blanks between, at which the provider's endpoints may lie; the issuer's own always may."""
    population_url: str = ""
    population_secret: str = ""
    vnpay_url: str = ""
    """The provider's payment page, as browsers reach it: .../paymentv2/vpcpay.html."""
    vnpay_api_url: str = ""
    """Its query and refund API, as the payment service reaches it: .../merchant_webapi/api/transaction."""
    vnpay_terminal: str = "MOTCUA01"
    vnpay_secret: str = ""
    """The terminal's hash secret; made and kept in the data folder if empty, for a sandbox to share."""
    sandbox: bool = True
    """Serve the sandboxes of the national systems under /sandbox."""
    sandbox_until: date | None = None
    """The last day of a controlled trial: from the next day on, nothing is submitted."""
    submission_cutover: date | None = None
    """From this day on, online dossiers are submitted at the national portal only."""
    submission_address: str = ""
    """The national portal's address."""
    clock_shift_file: Path | None = None
    """A file with seconds to add to the time that decisions see; only beside a sandbox."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    trace_sampled: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _whole_identity(self) -> Settings:
        files = {"CERTIFICATE": self.tls_certificate, "KEY": self.tls_key, "AUTHORITY": self.tls_authority}
        missing = [f"MOTCUA_TLS_{name}" for name, file in files.items() if file is None]
        if 0 < len(missing) < len(files):
            raise ValueError(f"set {', '.join(missing)} too, or none of the three")
        if self.tls_files:
            try:
                read(self.tls_files)
            except OSError as error:
                raise ValueError(f"MOTCUA_TLS_*: {error}") from None
        return self

    @field_validator("clock_shift_file")
    @classmethod
    def _only_in_a_sandbox(cls, value: Path | None, info: object) -> Path | None:
        if value is not None and not getattr(info, "data", {}).get("sandbox", True):
            raise ValueError("MOTCUA_CLOCK_SHIFT_FILE needs MOTCUA_SANDBOX=true")
        return value

    @property
    def tls_files(self) -> Files | None:
        if self.tls_certificate is None or self.tls_key is None or self.tls_authority is None:
            return None
        return Files(self.tls_certificate, self.tls_key, self.tls_authority)

    @field_validator("ledger_witnesses")
    @classmethod
    def _pairs(cls, value: str) -> str:
        for pair in filter(None, value.split(",")):
            if not re.fullmatch(r"\s*\S+\+[0-9a-f]{8}\+\S+\s+https?://\S+\s*", pair):
                raise ValueError(f"{pair.strip()!r} is not `<vkey> <url>`")
        return value

    @field_validator("ledger_witnessed")
    @classmethod
    def _vkeys(cls, value: str) -> str:
        for vkey in filter(None, value.split(",")):
            if not re.fullmatch(r"\s*\S+\+[0-9a-f]{8}\+\S+\s*", vkey):
                raise ValueError(f"{vkey.strip()!r} is no vkey")
        return value

    @model_validator(mode="after")
    def _two_keys(self) -> Settings:
        if self.ledger_key and self.ledger_key == self.witness_key:
            raise ValueError("MOTCUA_WITNESS_KEY must not be MOTCUA_LEDGER_KEY: a witness's key signs nothing else")
        return self

    @property
    def blob_folder(self) -> Path | None:
        """In which blobs/ and ledger/ lie; None if they are in a bucket."""
        if self.blobs.startswith("s3://"):
            return None
        return Path(unquote(urlsplit(self.blobs).path)) if self.blobs else self.data

    @property
    def distributed(self) -> bool:
        """Whether the log lies outside of the data folder, so that other machines may share the site."""
        return self.event_store not in ("memory:", "sqlite:")

    @property
    def url(self) -> str:
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    def secret(self, name: str, given: str) -> str:
        """A configured secret, or one made once and kept in the data folder, readable by its owner only."""
        if given:
            return given
        path = self.data / "secrets" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(f".{secrets.token_hex(4)}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # of two first starts at once, one secret wins
                os.link(fresh, path)
            fresh.unlink()
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return path.read_text().strip()
