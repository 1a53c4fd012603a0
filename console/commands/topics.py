"""`emberwatch topics ensure`: make the topics before the first worker starts."""

import json
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from streams.topics import DEAD_LETTERS, INPUTS, KafkaUnreachable, ensure_topics

FAILURE = 1
UNREACHABLE = 4


def ensure(
    bootstrap: Annotated[
        str, typer.Option("--kafka", metavar="HOST:PORT", help="Brokers to ask first, several with commas.")
    ] = "localhost:9092",
    partitions: Annotated[
        int, typer.Option(min=1, max=10_000, help="Partitions of each topic: the most workers that can share the work.")
    ] = 12,
    replication: Annotated[int, typer.Option(help="Copies of each partition; -1 leaves it to the broker.")] = -1,
    retention_days: Annotated[
        float, typer.Option(min=0.01, help="Days that a topic keeps its events: how long workers may be away.")
    ] = 7.0,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Name of an input topic; may be repeated. Default: the four inputs."),
    ] = None,
    dead_letters: Annotated[str, typer.Option(help="Topic of the events that were set aside.")] = DEAD_LETTERS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Make the topics that are absent, and check those that exist. Running it again changes nothing.

    Ends with 0 when all topics are there with the same number of partitions, with 1 when one differs (it is left
    alone), with 4 when Kafka can't be reached.
    """
    try:
        reports = ensure_topics(
            bootstrap=bootstrap,
            topics=topics or INPUTS,
            dead_letters=dead_letters,
            partitions=partitions,
            replication=replication,
            retention_s=retention_days * 86400.0,
        )
    except KafkaUnreachable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNREACHABLE) from None
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
        raise typer.Exit(FAILURE)
