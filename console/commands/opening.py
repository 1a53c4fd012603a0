"""The store of a config, opened for one command; what keeps it from that is said in words, and ends with code 4."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from urllib.parse import urlsplit

import typer

from console.exits import ExitCode

if TYPE_CHECKING:  # both are slow to load, and `--help` needs neither
    from console.settings import Settings
    from store.store import Store

Config = Annotated[Path, typer.Option("--config", "-c", help="The config file: it names the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@contextlib.contextmanager
def opened_store(settings: "Settings") -> "Iterator[Store]":
    """The store that the service writes. Ends with 4 where it can't be had, or was never made."""
    from store.errors import StoreError
    from store.store import Store

    address = settings.store.address.get_secret_value()
    scheme, _, path = address.partition(":///")
    if scheme == "sqlite" and path and not Path(path).exists():
        typer.echo(
            f"there is no store at {path} yet: `emberwatch run` makes it; "
            "if the service runs elsewhere, give its store.url or store.data_dir in the config",
            err=True,
        )
        raise typer.Exit(ExitCode.UNREACHABLE)
    try:
        store = Store.open(address)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        tell_unusable(settings, str(error))


def tell_unusable(settings: "Settings | None", reason: str) -> NoReturn:
    """Say which store can't be used, why, and what to look at; ends with 4. The password is never shown."""
    where = "" if settings is None else f" ({place_of(settings.store.address.get_secret_value())})"
    typer.echo(f"the store{where} can't be used: {' '.join(reason.split())}", err=True)
    if "postgresql" in where:
        typer.echo(
            "Is PostgreSQL running there, may this machine reach it, and do store.url's user, password and database "
            "hold? Start the command again then; nothing is lost.",
            err=True,
        )
    raise typer.Exit(ExitCode.UNREACHABLE)


def place_of(address: str) -> str:
    """A store's address without user and password."""
    scheme, _, rest = address.partition("://")
    if scheme == "sqlite":
        return f"sqlite:{rest.removeprefix('/')}"
    parts = urlsplit(address)
    return f"postgresql at {parts.netloc.rpartition('@')[2] or 'localhost'}{parts.path}"
