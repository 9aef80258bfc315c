"""Settings from the environment, prefix MOTCUA_, checked before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.access.certificates import Files, read
from services.chassis.clock import Clock, ShiftedClock, SystemClock
from services.chassis.machine import chance, disk
from services.chassis.network import addresses
from services.chassis.site.refusal import SiteRefused
from services.law.dated import site_terms

_SECRET = re.compile(r"[0-9a-f]{64}")
Port = Annotated[int, Field(ge=0, le=65535)]
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
# What a refusal may repeat; in any other setting there may be a password, be it by mistake.
REPEATED = frozenset(
    {
        *("port", "grpc_port", "http_port", "site", "host", "edge_host", "log_level", "trace_sampled"),
        *(
            "in_flight",
            "streams",
            "streams_per_address",
            "edge_rate",
            "edge_burst",
            "key_cache_seconds",
            "ledger_checkpoint_seconds",
        ),
        *("sandbox", "sandbox_anybody_is_administrator", "sandbox_until", "submission_cutover", "uploads_kept_days"),
    }
)


def _ip(value: str) -> str:
    try:
        return str(ip_address(value)) if value else ""
    except ValueError:
        raise ValueError("it must be an IP address") from None


def _server(value: str, schemes: tuple[str, ...], user: bool = False, hosts: range = range(1, 2)) -> str:
    if value:
        addresses.server(value, schemes, user=user, hosts=hosts)
    return value


def _log(value: str) -> str:
    return value if value in ("memory:", "sqlite:") else _server(value, KURRENTDB, True, range(100))


def _scanner(value: str) -> str:
    """Clamd (services/dossier) reads it."""
    if value.startswith("unix:"):
        if not re.fullmatch(r"unix:///[^\s?#]+", value):
            raise ValueError("a socket is unix:///path")
        return value
    return _server(value, ("tcp", "unix"))


def _reception_terms(value: str) -> str:
    site_terms(value)
    return value


def _form(pattern: re.Pattern[str], says: str) -> AfterValidator:
    """Of a text; an empty one is left to the default's meaning where the pattern takes it."""

    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"it must be {says}")
        return value

    return AfterValidator(check)


KURRENTDB = ("kurrentdb", "kurrentdb+discover", "esdb", "esdb+discover")
Ip = Annotated[str, AfterValidator(_ip)]
Hex32 = Annotated[str, _form(re.compile(r"([0-9a-f]{64})?"), "64 digits, 0-9 and a-f: openssl rand -hex 32")]
OneWord = Annotated[str, _form(re.compile(r"[^\s+]*"), "without blanks and +")]
Web = Annotated[str, AfterValidator(partial(_server, schemes=("https", "http")))]


class Room(BaseSettings):
    """Settings of one part of the site. `services/settings.py` composes them."""

    model_config = SettingsConfigDict(env_prefix="MOTCUA_", extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        """Nothing: tracebacks show what stands in variables."""
        yield from ()

    @classmethod
    def of(cls, settings: Room) -> Self:
        """This room of a site's settings. Raises TypeError where they were made without it."""
        if not isinstance(settings, cls):
            raise TypeError(f"{type(settings).__name__} has no {cls.__name__}: make services.settings.SiteSettings")
        return settings

    def files(self) -> Iterator[tuple[str, Path | str | None]]:
        """The variables that name files, and the files."""
        yield from ()

    def unreadable(self) -> Iterator[str]:
        """The variables that name files which cannot be read, as a start asks before anything needs them."""
        yield from (name for name, file in self.files() if file and not os.access(file, os.R_OK))


class Settings(Room):
    """The platform's, and those of the services that have no room of their own."""

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        yield from ((name, getattr(self, name)) for name in ("data", *sorted(REPEATED)))

    data: Path = Path("data")
    """The folder of everything that must survive: events, views, files, keys."""
    port: Annotated[int, Field(ge=1024, le=65000)] = 8080
    """Where the edge of `motcua up` listens; TLS on the port 363 above it."""
    site: Annotated[
        str, _form(re.compile(r"vn(-[0-9]{2})?"), "vn for the nation, or vn- and the two digits of a province: vn-56")
    ] = "vn-56"
    """Whose installation it is: `vn` for the nation, or `vn-` and a province's code. Stored with every event, for ever."""
    event_store: Annotated[str, AfterValidator(_log)] = "sqlite:"
    """`sqlite:` keeps events in the data folder; `memory:` forgets them; `kurrentdb://...` or `esdb://...` is a KurrentDB cluster
    (docs/event-store.md)."""
    database: Annotated[
        str, AfterValidator(partial(_server, schemes=("postgresql+psycopg",), user=True, hosts=range(10)))
    ] = ""
    """SQLAlchemy URL of the views, `postgresql+psycopg://...`, with a schema for each service (docs/postgresql.md); SQLite in the
    data folder if empty."""
    blobs: Annotated[
        str,
        _form(
            re.compile(r"(s3://[a-z0-9][a-z0-9.-]+(/[\w.-]+)*/?|file:///\S+)?"), "s3://bucket/prefix or file:///folder"
        ),
    ] = ""
    """`s3://bucket/prefix` or `file:///folder` of attachments, results and the ledger's files; the data folder if empty.

    A bucket's endpoint, region and credentials are those of the AWS_* variables (docs/buckets.md).
    """
    grpc_port: Port = 0
    """Where a service that runs alone serves gRPC; 0 takes any free one."""
    http_port: Port = 0
    """Where a service that runs alone serves its pages, probes and metrics; 0 takes any free one."""
    host: Ip = LOOPBACK
    """The IP address on which this process's services listen."""
    edge_host: Ip = ""
    """The IP address on which the edge of `motcua up` listens; if empty, 127.0.0.1 with the sandboxes and 0.0.0.0 without."""
    sandbox_anybody_is_administrator: bool = False
    """Let other machines reach a site with sandboxes: whoever does is an administrator of it."""
    public_url: Web = ""
    """The address at which citizens reach the edge; `http://localhost:<port>` if empty."""
    service_secret: Annotated[str, _form(re.compile(r"(.{32,})?"), "at least 32 characters on one line")] = ""
    """Shared by this site's services, at least 32 characters; made and kept in the data folder if empty."""
    master_key: Hex32 = ""
    """32 bytes in hexadecimal that wrap what wraps persons' keys: lost, every sealed name is lost. Made and kept in the data folder
    if empty."""
    master_key_previous: Hex32 = ""
    """The master key before, until `motcua keys rotate-master` is done."""
    key_cache_seconds: Annotated[float, Field(ge=0, le=3600)] = 300
    """Seconds for which a person's key may be used after it was last asked for: an erasure takes effect within this time even where
    its event does not arrive."""
    in_flight: Annotated[int, Field(ge=1)] = 512
    """Calls that a service answers at a time; more are told to come back."""
    edge_rate: Annotated[int, Field(ge=1)] = 50
    """Calls a second that the edge lets through for one caller."""
    edge_burst: Annotated[int, Field(ge=1)] = 200
    """Calls that the edge lets through for one caller at once, before it counts by the second."""
    streams: Annotated[int, Field(ge=1)] = 2000
    """Watchers that a service serves at a time."""
    streams_per_address: Annotated[int, Field(ge=1)] = 100
    """Watchers without a token that a service serves at a time for one IPv4 address or IPv6 /64; behind a shared one there are many
    people."""
    tls_certificate: Path | None = None
    """This process's certificate in the site, PEM: with its key and the site's authority, services speak mutual TLS.

    Read again when the files change. All three or none; none is for one machine, where they talk over the loopback.
    """
    tls_key: Path | None = None
    """The certificate's key, PEM."""
    tls_authority: Path | None = None
    """The site's authority, PEM: who shows a certificate of it is a part of the site."""
    client_authority: Path | None = None
    """File of the authorities, PEM, whose client certificates the edge takes from other systems; nobody shows one if empty."""
    qr_key: Hex32 = ""
    """32 bytes in hexadecimal that seal printed QR codes; made and kept in the data folder if empty."""
    ledger_origin: OneWord = ""
    """The name of this site's public ledger, for ever: its public address without scheme; `<site>.motcua.local/ledger` if empty."""
    ledger_key: Hex32 = ""
    """Seed of the Ed25519 key that signs the ledger, 32 bytes in hexadecimal; made and kept in the data folder if empty."""
    ledger_checkpoint_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    """The least number of seconds between two checkpoints of the ledger."""
    ledger_witnesses: str = ""
    """Who cosigns our ledger: `<vkey> <url>` pairs with commas between; add-checkpoint is below the URL."""
    ledger_witnessed: str = ""
    """Logs that we cosign: their vkeys, with commas between."""
    ledger_witness_name: OneWord = ""
    """Our name as a witness; `<site>.motcua.local/witness` if empty."""
    witness_key: Hex32 = ""
    """Seed of the Ed25519 key that cosigns others' ledgers and signs nothing else, 32 bytes in hexadecimal; made and kept in the
    data folder if empty."""
    identity_address: Annotated[
        str,
        _form(
            re.compile(r"((dns:///|ipv[46]:)?[^\s@]+:[0-9]{1,5})?"),
            "host:port, dns:///name:port or ipv4:host:port,host:port",
        ),
    ] = ""
    """`host:port` of the identity service, for a service that runs alone.

    Of several replicas as gRPC names them: `dns:///name:port` where a name has all their addresses, `ipv4:host:port,host:port`.
    """
    clamd_url: Annotated[str, AfterValidator(_scanner)] = ""
    """`tcp://host:port` or `unix:///path` of ClamAV's daemon, which is asked about every file; files are not scanned if empty."""
    vneid_url: Web = ""
    """The issuer of VNeID, the OIDC provider; its sandbox if empty."""
    vneid_client_id: str = "motcua"
    """By which VNeID knows this site."""
    vneid_client_secret: str = ""
    """With which this site proves itself to VNeID."""
    vneid_trusted_clients: str = ""
    """Other clients of the provider, with blanks between, whose users' id tokens are exchanged too: the national portal."""
    vneid_hosts: str = ""
    """Other hosts, with blanks between, at which the provider's endpoints may lie; the issuer's own always may."""
    population_url: Web = ""
    """The population database; its sandbox if empty."""
    population_secret: str = ""
    """Shared with the population database."""
    vnpay_url: Web = ""
    """The payment provider's page, as browsers reach it: `.../paymentv2/vpcpay.html`; its sandbox if empty."""
    vnpay_api_url: Web = ""
    """The payment provider's query and refund API, as the payment service reaches it: `.../merchant_webapi/api/transaction`; its
    sandbox if empty."""
    vnpay_terminal: str = "MOTCUA01"
    """The terminal that the payment provider gave this site."""
    vnpay_secret: str = ""
    """The terminal's hash secret; made and kept in the data folder if empty, for a sandbox to share."""
    sandbox: bool = True
    """Serve the sandboxes of the national systems under `/sandbox`."""
    sandbox_until: date | None = None
    """The last day of a controlled trial: from the next day on, nothing is submitted."""
    uploads_kept_days: Annotated[int, Field(ge=1, le=365)] = 30
    """For so many days the files that an official or a system has uploaded for others wait for the dossier that takes them."""
    submission_cutover: date | None = None
    """From this day on, online dossiers come by the national portal only: by whoever is registered for `submit-national`."""
    reception_terms: Annotated[str, AfterValidator(_reception_terms)] = ""
    """In what time online dossiers are received here, if the province decided its own: `2026-10-01:8h,2027-01-01:1d`, working
    hours or working days from a day on. The nation's one working day if empty."""
    submission_address: Web = ""
    """The national portal's address, which a refusal names."""
    clock_shift_file: Path | None = None
    """A file with seconds to add to the time that decisions see; only beside a sandbox."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least level of what is logged, as lines of JSON."""
    trace_sampled: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of calls that are traced; traces are sent where `OTEL_EXPORTER_OTLP_ENDPOINT` is set."""

    @model_validator(mode="after")
    def _whole_identity(self) -> Settings:
        files = {"CERTIFICATE": self.tls_certificate, "KEY": self.tls_key, "AUTHORITY": self.tls_authority}
        missing = [f"MOTCUA_TLS_{name}" for name, file in files.items() if file is None]
        if 0 < len(missing) < len(files):
            raise ValueError(f"set {', '.join(missing)} too, or none of the three")
        if self.tls_files:
            try:
                read(self.tls_files)
            except (OSError, ValueError) as error:
                raise ValueError(f"MOTCUA_TLS_*: {error}") from None
        return self

    @field_validator("data")
    @classmethod
    def _one_line(cls, value: Path) -> Path:
        if not str(value).isprintable():
            raise ValueError("a folder's name has no control characters")
        return value

    @field_validator("clock_shift_file")
    @classmethod
    def _only_in_a_sandbox(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        if not info.data.get("sandbox", True):
            raise ValueError("MOTCUA_CLOCK_SHIFT_FILE needs MOTCUA_SANDBOX=true")
        ShiftedClock(value).read()
        return value

    @model_validator(mode="after")
    def _sandbox_at_home(self) -> Settings:
        for name, host in (("MOTCUA_HOST", self.host), ("MOTCUA_EDGE_HOST", self.edge_host)):
            if self.sandbox and host and not ip_address(host).is_loopback and not self.sandbox_anybody_is_administrator:
                raise ValueError(
                    f"{name}={host} would let others reach the sandboxes, where anybody logs in as an administrator: "
                    "leave it out, set MOTCUA_SANDBOX=false, or say so with MOTCUA_SANDBOX_ANYBODY_IS_ADMINISTRATOR=true"
                )
        return self

    def files(self) -> Iterator[tuple[str, Path | str | None]]:
        yield "MOTCUA_CLIENT_AUTHORITY", self.client_authority
        yield from super().files()

    @property
    def clock(self) -> Clock:
        return ShiftedClock(self.clock_shift_file) if self.clock_shift_file else SystemClock()

    @property
    def edge_listens(self) -> str:
        return self.edge_host or (LOOPBACK if self.sandbox else EVERYWHERE)

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
                raise ValueError("each must be `<vkey> <url>`, with commas between")
        return value

    @field_validator("ledger_witnessed")
    @classmethod
    def _vkeys(cls, value: str) -> str:
        for vkey in filter(None, value.split(",")):
            if not re.fullmatch(r"\s*\S+\+[0-9a-f]{8}\+\S+\s*", vkey):
                raise ValueError("each must be a vkey, with commas between")
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
        """A configured secret, or one made once and kept in the data folder, readable by its owner only. Raises SiteRefused."""
        if given:
            return given
        path = self.data / "secrets" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(f".{chance.token_hex(4)}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(chance.token_hex(32))
                file.flush()
                disk.sync(file.fileno())
            with suppress(FileExistsError):  # of two first starts at once, one secret wins
                os.link(fresh, path)
            fresh.unlink()
            folder = os.open(path.parent, os.O_RDONLY)
            disk.sync(folder)
            os.close(folder)
        return _held(path)


def _held(path: Path) -> str:
    """Raises SiteRefused."""
    try:
        held = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        held = ""
    if not _SECRET.fullmatch(held):
        raise SiteRefused(
            f"{path} is no secret of 64 hexadecimal digits, or cannot be read: bring it back from the backup"
        )
    return held
