"""`emberwatch produce FILES...`: publish files of events to Kafka."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import EXIT_CODES, ExitCode

if TYPE_CHECKING:
    from streams.kafka_login import KafkaLogin
    from streams.produce import ProduceReport, Progress

EPILOG = f"""\b
Examples:
  emberwatch produce events/*.jsonl.gz --config emberwatch.yaml
  emberwatch produce day.jsonl --kafka localhost:9092
  emberwatch produce mixed.jsonl --config emberwatch.yaml --raw-topic gpu.samples

{EXIT_CODES}"""
SKIPS_SHOWN = 20


def produce_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...", exists=True, dir_okay=False, readable=True, help="Files of events, .jsonl or .jsonl.gz."
        ),
    ],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The config file: brokers, login, names of the topics.")
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option("--kafka", metavar="HOST:PORT", help="Brokers to ask first, several with commas."),
    ] = None,
    raw_topic: Annotated[
        str | None,
        typer.Option(help="Topic for lines that are no event; without it they are skipped."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Publish events to the topics of their types, keyed by workload, in order of arrival.

    Several files are merged by arrival: the field `arrived_at` if present, else `at`. It ends when all replicas have
    acknowledged everything: with 0 when every line was sent, with 1 when lines were skipped or Kafka refused one, with
    4 when Kafka can't be reached. Sending a file again does no harm: an event that comes twice is counted once.
    """
    from console.assemble import kafka_bootstrap, kafka_login, kafka_topics
    from console.settings import load_settings

    settings = load_settings(config)
    publish(
        files,
        bootstrap=kafka or kafka_bootstrap(settings),
        topics=kafka_topics(settings),
        raw_topic=raw_topic,
        login=kafka_login(settings),
        as_json=as_json,
    )


def publish(
    files: Sequence[Path],
    *,
    bootstrap: str,
    topics: Mapping[str, str],
    raw_topic: str | None,
    login: "KafkaLogin",
    as_json: bool,
) -> None:
    """Publish the files with a progress bar, tell the outcome, and end with its exit code."""
    from streams.produce import ProduceFailed, produce
    from streams.topics import KafkaUnreachable

    began_s = time.monotonic()
    with _bar(files) if not as_json else nullcontext(_silent) as on_progress:
        try:
            report = produce(
                files, bootstrap=bootstrap, topics=topics, raw_topic=raw_topic, on_progress=on_progress, login=login
            )
        except KafkaUnreachable as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(ExitCode.UNREACHABLE) from None
        except ProduceFailed as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(ExitCode.FAILURE) from None
    _tell(report, time.monotonic() - began_s, as_json)
    if report.skipped:
        raise typer.Exit(ExitCode.FAILURE)


def _tell(report: "ProduceReport", took_s: float, as_json: bool) -> None:
    if as_json:
        import msgspec

        typer.echo(json.dumps(msgspec.to_builtins(report), indent=2))
        return
    for topic, count in sorted(report.sent.items()):
        typer.echo(f"{topic}: {count} messages")
    total = sum(report.sent.values())
    typer.echo(f"{total} messages in {took_s:.1f} s, all acknowledged")
    for skip in report.skips[:SKIPS_SHOWN]:
        typer.echo(f"{skip.path}, line {skip.line}: skipped: {skip.reason}", err=True)
    if report.skipped:
        typer.echo(f"{report.skipped} lines skipped; --raw-topic sends them as they stand", err=True)


@contextmanager
def _bar(files: Sequence[Path]) -> Iterator["Callable[[Progress], None]"]:
    """A bar over the bytes of all files, on standard error, and only where someone watches."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("publishing"), BarColumn(), TaskProgressColumn(), DownloadColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("publishing", total=sum(path.stat().st_size for path in files))
        read_bytes: dict[Path, int] = {}

        def advance(progress: "Progress") -> None:
            read_bytes[progress.path] = progress.read_bytes
            bar.update(task, completed=sum(read_bytes.values()))

        yield advance


def _silent(_: "Progress") -> None:
    return
