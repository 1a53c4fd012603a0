"""`emberwatch topics ensure`: make the topics before the first worker starts."""

import json
from pathlib import Path
from typing import Annotated

import typer

from console.exits import EXIT_CODES, ExitCode

EPILOG = f"""\b
Examples:
  emberwatch topics ensure --config emberwatch.yaml
  emberwatch topics ensure --kafka localhost:9092 --partitions 3
  emberwatch topics ensure --config emberwatch.yaml --json

{EXIT_CODES}"""

app = typer.Typer(no_args_is_help=True, help="The topics on Kafka.")


@app.command("ensure", epilog=EPILOG)
def ensure(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The config file: brokers, login, names, partitions.")
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option("--kafka", metavar="HOST:PORT", help="Brokers to ask first, several with commas."),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Partitions of each topic: the most workers that can share the work."),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=-1, max=15, help="Copies of each partition; -1 leaves it to the broker.")
    ] = None,
    retention_days: Annotated[
        float | None,
        typer.Option(min=0.01, help="Days that a topic keeps its events: how long workers may be away."),
    ] = None,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Name of an input topic; may be repeated. Default: the four inputs."),
    ] = None,
    dead_letters: Annotated[str | None, typer.Option(help="Topic of the events that were set aside.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Make the topics that are absent, and check those that exist. Running it again changes nothing.

    What is not given here comes from the config. Ends with 0 when all topics are there with the same number of
    partitions, with 1 when one differs (it is left alone), with 4 when Kafka can't be reached.
    """
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from console.assemble import kafka_bootstrap, kafka_login, kafka_topics
    from console.settings import load_settings
    from streams.topics import KafkaUnreachable, ensure_topics

    settings = load_settings(config)
    wanted = settings.kafka
    try:
        reports = ensure_topics(
            bootstrap=kafka or kafka_bootstrap(settings),
            topics=topics or list(kafka_topics(settings).values()),
            dead_letters=dead_letters or wanted.dead_letter_topic,
            partitions=partitions or wanted.partitions,
            replication=wanted.replication if replication is None else replication,
            retention_s=(retention_days or wanted.retention_days) * 86400.0,
            login=kafka_login(settings),
        )
    except KafkaUnreachable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.UNREACHABLE) from None
    if as_json:
        typer.echo(json.dumps([msgspec.to_builtins(report) for report in reports], indent=2))
    else:
        table = Table("topic", "partitions", "state", box=None, header_style="bold")
        for report in reports:
            table.add_row(report.topic, str(report.partitions), report.state.value.replace("_", " "))
        Console().print(table)
    faults = [report.fault for report in reports if report.fault is not None]
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(ExitCode.FAILURE)
