"""`emberwatch run` and `emberwatch demo`: everything in one process."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from console.commands.opening import tell_unusable
from console.exits import EXIT_CODES, ExitCode

if TYPE_CHECKING:
    from console.settings import Settings

T = TypeVar("T")

RUN_EPILOG = f"""\b
Examples:
  emberwatch run                              the demo: a made-up fleet, nothing to set up
  emberwatch run --config emberwatch.yaml     your own: send events to POST /api/v1/events

Ctrl-C or SIGTERM ends it within ten seconds, with 0; what was accepted is on disk and goes on at the next start.

{EXIT_CODES}"""
DEMO_EPILOG = f"""\b
Examples:
  emberwatch demo
  emberwatch demo --port 9000 --seed 7

Within half a minute an idle notebook can be approved for scale-down in the console; the stand-in for its receiver
does it, and a minute later the telemetry proves it. Ctrl-C ends the demo, with 0.

{EXIT_CODES}"""


def run(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The config file. Without one, the demo is run.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the console.", min=1, max=65535)] = None,
) -> None:
    """Run the whole service in this process, on SQLite and without Kafka: HTTP in, alerts out, and the console.

    It listens on loopback, and asks for a token.
    """
    if config is None:
        demo(port=port or 8787)
        return
    import asyncio

    from rich.console import Console as Terminal

    from console import assemble
    from console.logging import configure_logging
    from console.service import opened, run_embedded
    from console.settings import load_settings

    settings = load_settings(config)
    if port is not None:
        settings = settings.model_copy(update={"console": settings.console.model_copy(update={"port": port})})
    configure_logging(settings.log.level, settings.log.format)
    with started(opened(settings, "run"), settings) as parts:
        token = assemble.console_token(settings)
        shown = token if settings.console.token is None else None
        asyncio.run(run_embedded(parts, Terminal(), token, lambda: welcome(parts.public_url(), shown)))


def demo(
    port: Annotated[int, typer.Option(help="Port of the console.", min=1, max=65535)] = 8787,
    seed: Annotated[int, typer.Option(help="Seed of the made-up fleet.")] = 1,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here; else they go when it ends.")] = None,
) -> None:
    """Run the service on a made-up fleet, with stand-ins for Slack and the scale-down receiver.

    Nothing leaves this machine.

    An idle notebook, accelerators given to nobody, a runaway client and a model without a price are waiting.
    """
    from rich.console import Console as Terminal

    from console import assemble
    from console.demo.run import demo as demo_run
    from console.logging import configure_logging

    configure_logging("warning", "console")
    terminal = Terminal()
    terminal.print("A made-up fleet is coming up: sixty hours of its past first. Ctrl-C ends the demo.")
    with started(demo_run(seed, port, data_dir)) as running:
        token = assemble.console_token(running.parts.settings)
        running.run(terminal, token, lambda: welcome(running.parts.public_url(), token))
    terminal.print("Ended. Your own fleet: emberwatch run --config emberwatch.yaml")


@contextlib.contextmanager
def started(context: AbstractContextManager[T], settings: "Settings | None" = None) -> Iterator[T]:
    """The context; a database or port that can't be had ends with its reason and code 4."""
    from store.errors import StoreError
    from streams.pipeline import SnapshotError

    try:
        with context as entered:
            yield entered
    except StoreError as error:
        tell_unusable(settings, str(error))
    except SnapshotError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.FAILURE) from None
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.UNREACHABLE) from None


def welcome(url: str, token: str | None) -> None:
    """Where the console is, on standard output. A token of the config's own is not shown."""
    from rich.console import Console as Terminal

    terminal = Terminal()
    shown = f"{url}/?token={token}" if token else f"{url}/ (with the token of the config)"
    terminal.print(f"\nConsole: {shown}", soft_wrap=True, highlight=False)
    terminal.print(f"Events:  POST {url}/api/v1/events with Authorization: Bearer <token>\n", soft_wrap=True)
