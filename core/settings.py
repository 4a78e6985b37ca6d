"""What can be set from outside: one frozen object, made at the door, never read by services."""

import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEVELOPMENT_KEY = "development only: never sign a real token with this"
UNSAFE = 78
"""Exit status of a refused start (EX_CONFIG)."""
TLS = frozenset({"require", "verify-ca", "verify-full"})
_ADDRESS = re.compile(
    r"(postgres|postgresql(\+[a-z0-9]+)?)://([^:/@]*(:[^@]*)?@)?([^/?#@:]*|\[[^]]*\])(:\d+)?/[^/?#]+(\?|$)"
)
PORT = 8000
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """Every setting, read from `PHYSIO_…` variables or a `.env` file; unknown names in the file are refused."""

    model_config = SettingsConfigDict(
        env_prefix="PHYSIO_",
        env_file=".env",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "test", "production"] = Field(
        "development", description="production refuses every default that is only good for development"
    )
    sandbox: bool = Field(
        default=False, description="the clock of this installation can be moved ahead; the database must be made as one"
    )
    demo: bool = Field(
        default=False, description="a clinic of fictional people with well-known passwords; loopback only"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=1, le=65535, description="port to listen on")] = PORT
    data_dir: Path = Field(Path(".physio"), description="where one-machine mode keeps its database, mail and secrets")

    database_url: SecretStr | None = Field(
        None, description="a PostgreSQL of your own, as the owner of the schema; without it one is embedded"
    )
    api_database_url: SecretStr | None = Field(None, description="as physio_api: what the API connects with")
    worker_database_url: SecretStr | None = Field(
        None, description="as physio_worker: jobs of one clinic, and the queue"
    )
    sweeper_database_url: SecretStr | None = Field(None, description="as physio_sweeper: jobs over all clinics")
    plain_database: bool = Field(
        default=False, description="the way to the database is private: production does not insist on TLS"
    )
    pool_size: Annotated[int, Field(ge=1, le=100, description="connections per process")] = 8
    statement_cache: Annotated[
        int, Field(ge=0, le=1000, description="prepared statements per connection; 0 for a PgBouncer before 1.21")
    ] = 100

    secret_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_KEY), description="signs tokens and cursors; at least 32 characters"
    )
    access_minutes: Annotated[int, Field(ge=1, le=60, description="life of an access token, minutes")] = 15
    rate_per_second: Annotated[float, Field(ge=0, description="requests per caller and second, 0 for no limit")] = 100
    rate_burst: Annotated[int, Field(ge=1, description="requests a caller may send at once")] = 200
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins of dashboards, separated by commas"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas"
    )

    smtp_url: SecretStr | None = Field(
        None, description="smtp://user:password@host:587; without it mail goes to a folder"
    )
    mail_from: str = Field("clinic@physio.example", description="sender of e-mail")
    public_url: str = Field(
        f"http://127.0.0.1:{PORT}",
        description="what links in messages begin with, and what Twilio calls; left out: port PHYSIO_PORT of this machine",
    )
    twilio_account_sid: str | None = Field(None, description="account at Twilio; without the three, no SMS is sent")
    twilio_auth_token: SecretStr | None = Field(None, description="its primary auth token; signs receipts, too")
    twilio_sender: str | None = Field(None, description="our number (+15005550006) or messaging service (MG…)")
    twilio_url: str = Field("https://api.twilio.com", description="where Twilio is")
    fcm_credentials: SecretStr | None = Field(
        None, description="a Firebase service account, the JSON itself; without it no push to phones"
    )
    fcm_url: str = Field("https://fcm.googleapis.com", description="where Firebase Cloud Messaging is")
    vapid_key: SecretStr | None = Field(
        None, description="32 bytes in base64url, by which push services know us; without it no push to browsers"
    )
    vapid_contact: str | None = Field(
        None, description="mailto:… or https://…, whom a push service may ask; without it, the sender of e-mail"
    )
    web_push_loopback: bool = Field(
        default=False, description="a browser's push service may be on this machine; not for production"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    clock_file: Path | None = Field(
        None, description="seconds the clock runs ahead, in a file; for tests of long stories"
    )
    processes: Annotated[int, Field(ge=1, le=64, description="API processes")] = 1

    @property
    def shows_codes(self) -> bool:
        """Whether answers show the codes of invitations: on a developer's own machine and in a demo, nowhere else."""
        return self.host in LOOPBACK and (self.demo or self.environment == "development")

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("cors_origins", "trusted_proxies"):
            given = values.get(name)
            if isinstance(given, str):
                values[name] = tuple(each.strip() for each in given.split(",") if each.strip())
        return values

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for each in proxies:
            try:
                ip_network(each)
            except ValueError:
                raise ValueError("write addresses (10.0.0.5) or networks (10.0.0.0/24), separated by commas") from None
        return proxies

    @field_validator("database_url", "api_database_url", "worker_database_url", "sweeper_database_url")
    @classmethod
    def _is_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _ADDRESS.match(url.get_secret_value()):
            raise ValueError("write it as postgresql://user:password@host:5432/database")
        return url

    @model_validator(mode="before")
    @classmethod
    def _found_at_home(cls, values: dict[str, object]) -> dict[str, object]:
        """Without another address we are where we listen: links must not lead to somebody else's server."""
        return {"public_url": f"http://127.0.0.1:{values.get('port', PORT)}", **values}

    @model_validator(mode="after")
    def _fit_to_run(self) -> Self:
        if self.demo and self.host not in LOOPBACK:
            raise ValueError("PHYSIO_DEMO listens on loopback only: its passwords are in the README")
        if self.clock_file is not None and self.environment != "test":
            raise ValueError("PHYSIO_CLOCK_FILE is for tests only")
        if self.environment == "production":
            if self.demo or self.sandbox:
                raise ValueError("PHYSIO_DEMO is not for production, and PHYSIO_SANDBOX is not")
            key = self.secret_key.get_secret_value()
            if key == DEVELOPMENT_KEY or len(key) < 32:  # noqa: PLR2004 - 256 bits as text
                raise ValueError("PHYSIO_SECRET_KEY must be set, to at least 32 characters")
            if self.api_database_url is None:
                raise ValueError("PHYSIO_API_DATABASE_URL must be set: the API does not run as the schema's owner")
            for name in ("database_url", "api_database_url", "worker_database_url", "sweeper_database_url"):
                url = getattr(self, name)
                if url is not None and not self.plain_database and _in_clear(url.get_secret_value()):
                    raise ValueError(f"PHYSIO_{name.upper()} crosses a network without TLS: add ?ssl=verify-full")
            public = urlsplit(self.public_url)
            if public.scheme != "https" and public.hostname not in LOOPBACK:
                raise ValueError("PHYSIO_PUBLIC_URL must begin with https://")
        return self

    @model_validator(mode="after")
    def _channels_fit(self) -> Self:
        if len({each is None for each in (self.twilio_account_sid, self.twilio_auth_token, self.twilio_sender)}) > 1:
            raise ValueError("PHYSIO_TWILIO_ACCOUNT_SID, PHYSIO_TWILIO_AUTH_TOKEN and PHYSIO_TWILIO_SENDER go together")
        if self.environment == "production":
            if self.web_push_loopback:
                raise ValueError("PHYSIO_WEB_PUSH_LOOPBACK is not for production")
            for name in ("twilio_url", "fcm_url"):
                if not getattr(self, name).startswith("https://"):
                    raise ValueError(f"PHYSIO_{name.upper()} must begin with https://")
        return self


def _in_clear(url: str) -> bool:
    """Tell whether a connection to the address leaves this host without TLS."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = query.get("host", [parts.hostname or ""])[0]
    modes = query.get("ssl", []) + query.get("sslmode", [])  # asyncpg's word for it, and libpq's
    return not (host.startswith("/") or host in LOOPBACK or TLS.intersection(modes))


def load() -> Settings:
    """Read the settings. Raises SystemExit 78 after one line per problem, naming the variable and never its value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for each in error.errors():
            said = each["msg"].removeprefix("Value error, ")
            lines.append(f"PHYSIO_{'_'.join(map(str, each['loc'])).upper()}: {said}" if each["loc"] else said)
        print("\n".join(f"physio: {line}" for line in lines), file=sys.stderr)  # noqa: T201 - there are no logs yet
        raise SystemExit(UNSAFE) from None
