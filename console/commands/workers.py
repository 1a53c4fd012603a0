"""`emberwatch worker` and `emberwatch serve`: scaled out over Kafka and one database."""

from pathlib import Path
from typing import Annotated

import typer

from console.commands.run import started, welcome
from console.exits import EXIT_CODES

WORKER_EPILOG = f"""\b
Examples:
  emberwatch topics ensure --config emberwatch.yaml
  emberwatch worker --config emberwatch.yaml
  emberwatch worker --config emberwatch.yaml --instance worker-1

Run as many as there are cores, at most one for each partition. /livez, /readyz and /metrics are on metrics.port.

{EXIT_CODES}"""
SERVE_EPILOG = f"""\b
Examples:
  emberwatch serve --config emberwatch.yaml

{EXIT_CODES}"""
Config = Annotated[Path, typer.Option("--config", "-c", help="The config file.")]


def worker(
    config: Config,
    instance: Annotated[
        str | None,
        typer.Option(help="A fixed name for this replica: it comes back after a restart without a rebalance."),
    ] = None,
) -> None:
    """Consume events from Kafka, detect, and keep everything in the store; workers of one group share the partitions.

    Whoever holds the lease also sends what is due. SIGTERM and Ctrl-C end it within ten seconds.
    """
    import asyncio

    from rich.console import Console as Terminal

    from console.logging import configure_logging
    from console.service import opened
    from console.settings import load_settings
    from console.work import run_worker

    settings = load_settings(config)
    configure_logging(settings.log.level, settings.log.format)
    with started(opened(settings, "worker"), settings) as parts:
        code = asyncio.run(run_worker(parts, Terminal(), instance))
    raise typer.Exit(code)


def serve(config: Config) -> None:
    """Serve the console beside Kafka workers on the same database, and share the duties with them."""
    import asyncio

    from rich.console import Console as Terminal

    from console import assemble
    from console.logging import configure_logging
    from console.service import opened, run_console
    from console.settings import load_settings

    settings = load_settings(config)
    configure_logging(settings.log.level, settings.log.format)
    with started(opened(settings, "serve"), settings) as parts:
        given = settings.console.token is not None
        token = assemble.console_token(settings)
        asyncio.run(
            run_console(parts, Terminal(), token, lambda: welcome(parts.public_url(), None if given else token))
        )
