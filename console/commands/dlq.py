"""`emberwatch dlq`: events that were set aside, and partitions that were stopped because of them."""

import base64
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.opening import AsJson, Config, opened_store
from console.exits import EXIT_CODES, ExitCode, ListFirst

if TYPE_CHECKING:
    from console.dead_letters import DeadLetters, Wanted
    from console.settings import Settings
    from store.store import Store
    from streams.dead_letter_reader import Letter

app = typer.Typer(
    cls=ListFirst,
    rich_markup_mode=None,
    help="Dead letters, the events that were set aside: list them (the default), show one, put them back; "
    "let a stopped partition go on.",
    epilog=f"""\b
Examples:
  emberwatch dlq --config emberwatch.yaml
  emberwatch dlq show gpu.samples/3/1042/0 --config emberwatch.yaml
  emberwatch dlq replay --reason in_the_future --config emberwatch.yaml          what it would put back
  emberwatch dlq replay --reason in_the_future --yes --config emberwatch.yaml
  emberwatch dlq resume --partition 3 --skip-limit 5000 --config emberwatch.yaml

{EXIT_CODES}""",
)


class Source(StrEnum):
    """Where they lie."""

    AUTO = "auto"
    STORE = "store"
    KAFKA = "kafka"


From = Annotated[
    Source, typer.Option("--from", help="Where they lie; auto: in Kafka where the config has a section kafka.")
]
Topic = Annotated[str | None, typer.Option(help="Only of this topic.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only of this partition.")]
ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Only for this: malformed, in_the_future, too_old, too_late, unreadable, or part of it."
    ),
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only what arrived from then on, such as 2026-11-23T09:00:00Z.")
]
By = Annotated[str | None, typer.Option("--by", help="Who says so; default: this machine's user.")]
MOST_REPLAYED = 1_000_000


@app.command(
    "list",
    epilog=f"""\b
Examples:
  emberwatch dlq list --config emberwatch.yaml
  emberwatch dlq list --topic gpu.samples --reason "util_ratio" --since 2026-11-23T09:00:00Z --config emberwatch.yaml

{EXIT_CODES}""",
)
def show_list(
    config: Config,
    topic: Topic = None,
    partition: Partition = None,
    reason: ReasonOption = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 50,
    source: From = Source.AUTO,
    as_json: AsJson = False,
) -> None:
    """List events that were set aside, the newest first, how many there are of each reason, and stopped partitions."""
    from alerts.wording import clean, moment
    from console.commands.printing import table, terminal
    from console.dead_letters import Wanted
    from console.settings import load_settings

    wanted = Wanted(topic=topic, partition=partition, reason=reason, since=_moment(since))
    settings = load_settings(config)
    with opened_store(settings) as store:
        found, counts = _find(_letters(settings, store, source), wanted, limit)
        again, stops = store.replayed([one.place for one in found]), store.stops()
    if as_json:
        letters = [_as_json(one, one.place in again) for one in found]
        _echo({"counts": counts, "stopped": [_builtins(stop) for stop in stops], "letters": letters})
        return
    for stop in stops:
        typer.echo(
            f"Partition {stop.partition} is stopped since {moment(stop.at)}: {clean(stop.reason, 200)}; "
            f"`emberwatch dlq resume --partition {stop.partition}` lets it go on.\n"
        )
    if not found:
        typer.echo("No event was set aside." if wanted == Wanted() else "No such event was set aside.")
        return
    rows = table(("ARRIVED", "left"), ("PLACE", "left"), ("FAULT", "left"), ("REASON", "wrap"))
    for one in found:
        back = " (put back)" if one.place in again else ""
        place = clean(str(one.place), 120)
        rows.add_row(moment(one.reject.at), place, clean(one.reject.fault, 40), clean(one.reject.reason, 200) + back)
    terminal().print(rows)
    total = sum(counts.values())
    parts = ", ".join(f"{number:,} {clean(fault, 40)}" for fault, number in counts.items())
    typer.echo(f"\n{total:,} in all: {parts}" + (f"; the newest {limit:,} are shown" if total > len(found) else ""))


@app.command(
    epilog=f"""\b
Example:
  emberwatch dlq show gpu.samples/3/1042/0 --config emberwatch.yaml

Whatever in it is not plainly visible is shown escaped. With --json its bytes are there in base64 as well.

{EXIT_CODES}"""
)
def show(
    place: Annotated[str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET[/INDEX]", help="Where it stood.")],
    config: Config,
    most: Annotated[int, typer.Option("--bytes", min=1, max=1_048_576, help="Show so many bytes of it.")] = 2000,
    source: From = Source.AUTO,
    as_json: AsJson = False,
) -> None:
    """Show one event that was set aside: why, its headers, and its bytes."""
    from alerts.wording import clean
    from console.dead_letters import escaped
    from console.settings import load_settings

    wanted = _at(place)
    settings = load_settings(config)
    with opened_store(settings) as store:
        found, _ = _find(_letters(settings, store, source), wanted, 1)
        again = store.replayed([one.place for one in found])
    if not found:
        typer.echo(f"nothing at {clean(place)} was set aside; `emberwatch dlq list` names what was", err=True)
        raise typer.Exit(ExitCode.FAILURE)
    letter = found[0]
    if as_json:
        payload = {
            "headers": letter.headers,
            "key": None if letter.reject.key is None else escaped(letter.reject.key, most),
            "payload": escaped(letter.reject.payload, most),
            "payload_base64": base64.b64encode(letter.reject.payload[:most]).decode(),
        }
        _echo({**_as_json(letter, bool(again)), **payload})
        return
    one, total = letter.reject, len(letter.reject.payload)
    typer.echo(f"{clean(str(letter.place), 300)}\n")
    typer.echo(f"Arrived: {one.at.isoformat()}\nFault: {clean(one.fault, 40)}\nReason: {clean(one.reason, 500)}")
    if one.key is not None:
        typer.echo(f"Key: {escaped(one.key, most)}")
    typer.echo(f"Put back before: {'yes' if again else 'no'}")
    for name, value in letter.headers.items():
        typer.echo(f"  {clean(name, 80)}: {clean(value, 500)}")
    typer.echo(f"\n{escaped(one.payload, most)}")
    if total > most:
        typer.echo(f"\nthe first {most:,} of {total:,} bytes; --bytes shows more", err=True)


@app.command(
    epilog=f"""\b
Examples:
  emberwatch dlq replay --reason in_the_future --config emberwatch.yaml
  emberwatch dlq replay --reason in_the_future --yes --config emberwatch.yaml
  emberwatch dlq replay --place gpu.samples/3/1042/0 --yes --config emberwatch.yaml

Nothing is put back without --yes. What was put back before is passed over, unless --again is given. An event that is
still unusable is set aside again, and one that was counted before is not counted twice.

{EXIT_CODES}"""
)
def replay(
    config: Config,
    place: Annotated[
        list[str] | None, typer.Option(metavar="TOPIC/PARTITION/OFFSET[/INDEX]", help="This one; may be repeated.")
    ] = None,
    topic: Topic = None,
    partition: Partition = None,
    reason: ReasonOption = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it only says what it would do.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was put back before.")] = False,
    by: By = None,
    source: From = Source.AUTO,
    as_json: AsJson = False,
) -> None:
    """Put events that were set aside back into the topic (or inbox) that they came from, as they came."""
    from console import assemble
    from console.commands.printing import user
    from console.dead_letters import Wanted
    from console.settings import load_settings
    from streams.topics import KafkaUnreachable

    filtered = Wanted(topic=topic, partition=partition, reason=reason, since=_moment(since))
    if not place and filtered == Wanted() and not everything:
        raise typer.BadParameter("say which: --place, --reason, --topic, --partition, --since, or --all")
    settings = load_settings(config)
    with opened_store(settings) as store:
        letters = _letters(settings, store, source)
        wanted = [_at(one) for one in place] if place else [filtered]
        found = {one.place: one for each in wanted for one in _find(letters, each, MOST_REPLAYED)[0]}
        before = set() if again else store.replayed(list(found))
        cut = [one for one in found.values() if not one.whole]
        chosen = [one for _, one in sorted(found.items()) if one.whole and one.place not in before]
        sent: dict[str, int] = {}
        if yes:
            try:
                sent = letters.put_back(chosen, by or user(), assemble.now_utc)
            except KafkaUnreachable as error:
                typer.echo(str(error), err=True)
                raise typer.Exit(ExitCode.UNREACHABLE) from None
    if as_json:
        places = [str(one.place) for one in chosen]
        _echo(
            {
                "done": yes,
                "events": len(chosen),
                "put_back": sent,
                "places": places,
                "before": len(before),
                "cut": len(cut),
            }
        )
        return
    typer.echo(f"{len(chosen):,} events {'were put back' if yes else 'would be put back; --yes does it'}")
    if before:
        typer.echo(f"{len(before):,} were put back before, and are passed over; --again includes them")
    if cut:
        typer.echo(f"{len(cut):,} are not kept whole, and can't be put back")


@app.command(
    epilog=f"""\b
Examples:
  emberwatch dlq resume --partition 3 --config emberwatch.yaml
  emberwatch dlq resume --partition 3 --skip-limit 5000 --by ana --config emberwatch.yaml

Mend the producer first: the partition stops again at the same limit. Bad messages that lie in the topic already are let
through with --skip-limit, and set aside as ever. A second time changes nothing, and ends with 0.

{EXIT_CODES}"""
)
def resume(
    config: Config,
    partition: Annotated[int, typer.Option(min=0, help="The partition; 0 for `emberwatch run`.")],
    skip_limit: Annotated[
        int, typer.Option(min=0, max=100_000_000, metavar="MESSAGES", help="Let so many bad messages through first.")
    ] = 0,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Let a stopped partition go on, from the message at which it stopped."""
    from alerts.partition_stop import resumed
    from console import assemble
    from console.commands.printing import user
    from console.settings import load_settings

    settings = load_settings(config)
    with opened_store(settings) as store:
        stop = next((one for one in store.stops() if one.partition == partition), None)
        done = False
        if stop is not None:
            now, incident = assemble.now_utc(), store.incident(stop.incident_id)
            over = [resumed(incident, now)] if incident is not None and incident.resolved_at is None else []
            done = store.resume(
                partition,
                by or user(),
                now,
                allowance=skip_limit,
                incidents=[one.incident for one in over],
                notices=[notice for one in over for notice in assemble.router(settings).decide(one)],
            )
    if as_json:
        _echo({"changed": done, "partition": partition, "skip_limit": skip_limit if done else 0})
    elif done:
        typer.echo(f"Partition {partition} goes on within seconds, where a worker holds it.")
    else:
        typer.echo(f"Partition {partition} is not stopped; nothing was changed.")


def _letters(settings: "Settings", store: "Store", source: Source) -> "DeadLetters":
    from console.dead_letters import DeadLetters

    in_kafka = source is Source.KAFKA or (source is Source.AUTO and "kafka" in settings.model_fields_set)
    return DeadLetters(settings, store, in_kafka=in_kafka)


def _find(letters: "DeadLetters", wanted: "Wanted", limit: int) -> "tuple[list[Letter], dict[str, int]]":
    from streams.topics import KafkaUnreachable

    try:
        return letters.find(wanted, limit)
    except KafkaUnreachable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.UNREACHABLE) from None


def _at(text: str) -> "Wanted":
    from console.dead_letters import Wanted, place_of

    try:
        place = place_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return Wanted(topic=place.topic, partition=place.partition, offset=place.offset, index=place.index)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write 2026-11-23T09:00:00Z", param_hint="--since") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _as_json(letter: "Letter", replayed: bool) -> dict[str, Any]:
    one = letter.reject
    return {
        "place": str(letter.place),
        "topic": one.topic,
        "partition": one.partition,
        "offset": one.offset,
        "index": one.index,
        "arrived_at": one.at.isoformat(),
        "fault": one.fault,
        "reason": one.reason,
        "bytes": len(one.payload),
        "whole": letter.whole,
        "replayed": replayed,
    }


def _builtins(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _echo(value: Any) -> None:
    """JSON in ASCII: what comes from outside reaches no terminal as it is."""
    typer.echo(json.dumps(value, indent=2))
