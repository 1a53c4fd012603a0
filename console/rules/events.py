"""The input of a test as events, in order of arrival."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from console.rules.series import SeriesError, values_of
from console.rules.spec import RulesError, Series, Test, duration
from detectors.events import Change, GpuSample, TokenUsage
from streams.records import Record

GPU_FIELDS = frozenset(
    (
        *("util_ratio", "engine_active_ratio", "sm_active_ratio", "tensor_active_ratio", "dram_active_ratio"),
        *("memory_used_bytes", "memory_total_bytes", "power_w"),
    )
)
TOKEN_FIELDS = frozenset(
    (
        *("requests", "errors", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
        *("reasoning_tokens", "requests_running", "requests_waiting", "cost_usd"),
    )
)
WHOLE = frozenset(name for name in GPU_FIELDS | TOKEN_FIELDS if name.endswith(("_bytes", "_tokens")))
WHOLE |= {"requests", "errors"}
NEEDED = ("requests", "input_tokens", "output_tokens")  # of tokens; what is not given is 0
TOPICS: dict[type[Any], str] = {GpuSample: "gpu.samples", TokenUsage: "token.usage", Change: "ops.changes"}


def records_of(test: Test, evaluation: timedelta) -> list[Record]:
    """All events of a test. A value lasts as long as the evaluation interval, and is told at its end.

    Raises RulesError for a series that can't be read, or says what no event can say.
    """
    events: list[tuple[datetime, Any]] = []
    for number, series in enumerate(test.input, start=1):
        where = f"{test.name!r}, input {number}"
        try:
            events += _events(series, number, test.start, evaluation, where)
        except (msgspec.ValidationError, SeriesError) as error:
            raise RulesError(f"{where}: {error}") from None
    if not events:
        raise RulesError(f"{test.name!r}: no input")
    offsets: dict[str, int] = {}
    records = []
    for at, event in sorted(events, key=lambda pair: pair[0]):
        topic = TOPICS[type(event)]
        records.append(Record(topic, 0, offsets.get(topic, 0), at, msgspec.json.encode(event)))
        offsets[topic] = offsets.get(topic, 0) + 1
    return records


def _events(
    series: Series, number: int, start: datetime, evaluation: timedelta, where: str
) -> Iterator[tuple[datetime, Any]]:
    kinds = [kind for kind in ("gpu", "tokens", "change") if getattr(series, kind) is not None]
    if len(kinds) != 1:
        raise RulesError(f"{where}: one of gpu, tokens and change names the workload, got {len(kinds)} of them")
    if series.change is not None:
        at = start + duration(series.at or "0m", where)
        change = {"event_id": f"change-{number}", "at": at, "workload": series.change}
        yield at, _checked(Change, {**change, "kind": series.kind, "summary": series.summary})
        return
    known = GPU_FIELDS if series.gpu is not None else TOKEN_FIELDS
    columns = _columns(series, known, where)
    begins = start + duration(series.begins, where)
    for place in range(max(map(len, columns.values()))):
        said = {name: _number(name, column[place]) for name, column in columns.items() if column[place] is not None}
        if not said:
            continue
        at = begins + (place + 1) * evaluation
        head = {"at": at, "span_s": evaluation.total_seconds()}
        if series.team:
            head["team"] = series.team
        if series.gpu is not None:
            head |= {"workload": series.gpu} | ({"gpu_model": series.gpu_model} if series.gpu_model else {})
            for device in range(series.devices):
                yield at, _checked(GpuSample, {**head, "device": f"GPU-{number}-{device}", **said})
        else:
            head |= {"workload": series.tokens, "provider": series.provider, "model": series.model}
            head["event_id"] = f"usage-{number}-{place}"
            yield at, _checked(TokenUsage, {**head, **dict.fromkeys(NEEDED, 0), **said})


def _columns(series: Series, known: frozenset[str], where: str) -> dict[str, list[float | None]]:
    unknown = sorted(set(series.values) - known)
    if unknown:
        raise RulesError(f"{where}: no such field: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    if not series.values:
        raise RulesError(f"{where}: no values")
    columns = {name: values_of(text) for name, text in series.values.items()}
    longest = max(map(len, columns.values()))
    for name, column in columns.items():
        if len(column) == 1:  # it never changes
            columns[name] = column * longest
        elif len(column) != longest:
            raise RulesError(f"{where}: {name} has {len(column)} values where others have {longest}; _ stands for none")
    return columns


def _number(name: str, value: float | None) -> float | int | None:
    return round(value) if value is not None and name in WHOLE else value


def _checked(kind: type[Any], fields: dict[str, Any]) -> Any:
    """The event, with the limits of its type."""
    return msgspec.convert(msgspec.to_builtins(fields), kind)
