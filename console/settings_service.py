"""Where the service keeps things, where it listens, and what it says of itself."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator

from console.settings_types import HttpUrl, Port, Secret, Section, fault, shown
from console.settings_yaml import Resolved

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _store_url(value: object) -> object:
    """An SQLAlchemy address. A password in it must have come from a reference."""
    if isinstance(value, SecretStr):
        return value
    meant = "sqlite:///PATH or postgresql://USER@HOST/NAME"
    if not isinstance(value, str):
        raise fault(shown(value), meant)
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in _DRIVERS:
        raise fault("an address of another kind (not shown)", meant)
    try:
        parts = urlsplit(value)
        has_password = bool(parts.password) or "password=" in parts.query
    except ValueError:
        raise fault("an address that can't be read (not shown)", meant) from None
    if has_password and not isinstance(value, Resolved):
        raise fault(
            "an address with a password written out (not shown)",
            "a reference for the password, as in postgresql://USER:${file:/run/secrets/db}@HOST/NAME",
        )
    return SecretStr(f"{_DRIVERS[scheme]}://{rest}")


class Store(Section):
    """Where everything is kept that must not be lost."""

    data_dir: Path = Field(
        default=Path("emberwatch-data"),
        description="Folder for the SQLite file and what else is written; made when missing.",
    )
    url: Annotated[SecretStr, BeforeValidator(_store_url), WithJsonSchema({"type": "string"})] | None = Field(
        default=None,
        description="sqlite:///PATH or postgresql://USER@HOST/NAME; absent: emberwatch.db in data_dir. Never shown.",
    )

    @property
    def address(self) -> SecretStr:
        """The database's SQLAlchemy address, the default filled in."""
        return self.url or SecretStr(f"sqlite:///{self.data_dir / 'emberwatch.db'}")


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", value):
        raise fault(shown(value), "a host name or an IP address")
    return value


Host = Annotated[str, AfterValidator(_host)]


class Console(Section):
    """The web page and the HTTP door for events."""

    host: Host = Field(
        default="127.0.0.1", description="Address to listen on. One that others can reach needs token_file (or token)."
    )
    port: Port = Field(default=8787, description="Port to listen on.")
    token: Secret | None = Field(default=None, description="Token that opens the console, as a reference.")
    token_file: Path | None = Field(
        default=None,
        description="File that holds the token that opens the console. Absent: made at start, and printed once.",
    )
    public_url: HttpUrl | None = Field(
        default=None, description="Address at which people reach the console: links in messages use it."
    )

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not is_loopback(self.host) and self.token is None:
            raise fault(
                f"{shown(self.host)}, which other machines can reach, without a token",
                "token_file beside it, or 127.0.0.1: an open console could stop accelerators",
                option="host",
            )
        return self


class Metrics(Section):
    """Where a worker shows its metrics and its health."""

    host: Host = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 lets Prometheus in from outside."
    )
    port: Port = Field(default=9464, description="Port to listen on.")


class Log(Section):
    """What the service says of itself, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written."
    )
    format: Literal["json", "console"] = Field(
        default="console", description="json: a line for programs; console: a line for people."
    )
