"""What Kafka no longer holds is found, told once, priced as far as that goes, and closed by what follows."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from detectors.findings import Cause, Kind
from store.errors import Fenced, StoreUnavailable
from store.facts import GapCause, GapRow
from store.store import Store
from streams.gaps import Hole, Log, left_out, where_to_begin
from streams.keeper import Keeper
from streams.metrics import Metrics
from tests.streams import keeping
from tests.streams.events import HOUR, MINUTE, NOON, gpu
from tests.streams.events import Log as Sender

ONE, TWO = "7a88feb0-28c1-4817-a792-3841f2a77187", "65c14815-5567-45cf-a51a-aa304428c559"


def log(first: int, end: int, topic_id: str | None = ONE, **fields: Any) -> Log:
    values = {"topic": "gpu.samples", "partition": 0, "first_offset": first, "end_offset": end, "topic_id": topic_id}
    return Log(**{**values, **fields})


@pytest.mark.parametrize(
    ("held", "stored", "stored_id", "start", "hole"),
    [
        (log(0, 10), None, None, 0, None),
        (log(5, 10), None, None, 5, None),
        (log(0, 10), 10, ONE, 10, None),
        (log(3, 10), 3, ONE, 3, None),
        (log(0, 10), 4, None, 4, None),
        (log(0, 10, None), 4, ONE, 4, None),
        (log(7, 10), 3, ONE, 7, (GapCause.EXPIRED, 3, 7, 4)),
        (log(7, 7, None), 3, None, 7, (GapCause.EXPIRED, 3, 7, 4)),
        (log(0, 10, TWO), 4, ONE, 0, (GapCause.RECREATED, 4, 0, None)),
        (log(2, 10, TWO), 10, ONE, 2, (GapCause.RECREATED, 10, 2, None)),
        (log(0, 10, None), 11, None, 0, (GapCause.RECREATED, 11, 0, None)),
        (log(0, 10), 11, None, 0, (GapCause.RECREATED, 11, 0, None)),
        (log(1, 10), 11, ONE, 1, (GapCause.SHORTENED, 11, 1, None)),
    ],
)
def test_where_a_log_is_read_on_and_what_was_lost_before(
    held: Log, stored: int | None, stored_id: str | None, start: int, hole: tuple[GapCause, int, int, int | None] | None
) -> None:
    expected = None
    if hole is not None:
        expected = Hole(cause=hole[0], first_offset=hole[1], next_offset=hole[2], most_events=hole[3])
    assert where_to_begin(held, stored, stored_id) == (start, expected)


@pytest.mark.parametrize(
    ("expected", "offsets", "found"),
    [
        (5, [], []),
        (5, [5, 6, 7], []),
        (None, [5, 6, 7], []),
        (3, [5, 6, 7], [(0, 3)]),
        (5, [5, 7, 8, 12], [(1, 6), (3, 9)]),
        (None, [5, 9], [(1, 6)]),
        (4, [9], [(0, 4)]),
    ],
)
def test_offsets_that_are_left_out_are_seen(
    expected: int | None, offsets: list[int], found: list[tuple[int, int]]
) -> None:
    assert left_out(expected, offsets) == found


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOON + 2 * HOUR

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


def keeper(store: Any, clock: Hand, metrics: Metrics | None = None) -> Keeper:
    return keeping.keeper(store, clock=clock, metrics=metrics or Metrics("test"))


async def read_an_hour(one: Keeper, sender: Sender) -> None:
    """Sixty offsets, at $4.00 an hour."""
    await one.assigned({0})
    await one.begin([log(0, 60)])
    await one.handle(sender.records([gpu(NOON + number * MINUTE, span_s=60) for number in range(1, 61)]))
    await one.flush()


def test_what_expired_is_one_gap_one_incident_one_message_and_a_second_start_says_nothing(
    store: Store, clock: Hand
) -> None:
    metrics = Metrics("test")

    async def scenario() -> None:
        await read_an_hour(keeper(store, clock), Sender())
        for _ in range(3):
            one = keeper(store, clock, metrics)
            await one.assigned({0})
            assert await one.begin([log(90, 100)]) == {("gpu.samples", 0): 90}

    asyncio.run(scenario())

    (gap,) = store.gaps(10)
    assert gap == GapRow(
        gap_id=gap.gap_id,
        source="gpu.samples/0@60-90",
        topic="gpu.samples",
        partition=0,
        cause=GapCause.EXPIRED,
        first_offset=60,
        next_offset=90,
        most_events=30,
        found_at=NOON + 2 * HOUR,
        began_at=NOON + HOUR,
        ended_at=None,
        usd_per_hour=pytest.approx(4.0),
        incident_id=gap.incident_id,
    )
    (incident,) = [one for one in store.open_incidents() if one.source is not None]
    assert (incident.incident_id, incident.kind, incident.cause, str(incident.severity)) == (
        gap.incident_id,
        Kind.DATA_GAP,
        Cause.TELEMETRY_LOST,
        "warn",
    )
    assert incident.evidence == {
        "partition": 0.0,
        "first_offset": 60.0,
        "next_offset": 90.0,
        "most_events": 30.0,
        "may_be_missing_usd": pytest.approx(4.0),
    }
    assert [row.notice.title for row in store.notices(10) if row.notice.subject_id == incident.incident_id] == [
        "About $4.00 may be missing: up to 30 messages of gpu.samples/0 gone from Kafka unread, nothing read for 1 h"
    ]
    assert store.claim_partition(0, "x", NOON).offsets["gpu.samples"] == 90
    sample = metrics.registry.get_sample_value
    assert sample("emberwatch_gaps_total", {"topic": "gpu.samples", "cause": "expired"}) == 1.0
    assert sample("emberwatch_events_missing_total", {"topic": "gpu.samples"}) == 30.0


def test_the_first_message_after_it_closes_the_gap_also_after_a_restart(store: Store, clock: Hand) -> None:
    sender = Sender()

    async def scenario() -> None:
        await read_an_hour(keeper(store, clock), sender)
        one = keeper(store, clock)
        await one.assigned({0})
        await one.begin([log(90, 100)])
        clock.now = NOON + 4 * HOUR
        two = keeper(store, clock)
        await two.assigned({0})
        await two.begin([log(90, 100)])
        sender._next["gpu.samples"] = 90
        await two.handle([sender.record(gpu(NOON + 3 * HOUR), NOON + 3 * HOUR)])
        await two.handle([sender.record(gpu(NOON + 3 * HOUR + MINUTE), NOON + 3 * HOUR + MINUTE)])
        await two.flush()

    asyncio.run(scenario())

    (gap,) = store.gaps(10)
    assert (gap.began_at, gap.ended_at, gap.usd(clock.now)) == (NOON + HOUR, NOON + 3 * HOUR, pytest.approx(8.0))
    assert gap.incident_id is not None
    incident = store.incident(gap.incident_id)
    assert incident is not None
    assert (incident.resolved_at, incident.evidence["may_be_missing_usd"]) == (NOON + 3 * HOUR, pytest.approx(8.0))
    assert next(
        (row.notice.step, row.notice.title) for row in store.notices(10) if row.notice.subject_id == gap.incident_id
    ) == (
        "resolved",
        "About $8.00 may be missing: up to 30 messages of gpu.samples/0 gone from Kafka unread, read on after 2 h",
    )
    assert store.open_gaps(0) == []


def test_a_topic_made_anew_is_told_each_time_and_its_events_are_read_from_the_start(store: Store, clock: Hand) -> None:
    sender = Sender()

    async def scenario() -> None:
        await read_an_hour(keeper(store, clock), sender)
        for topic_id in (TWO, "11111111-0000-0000-0000-000000000000"):
            one = keeper(store, clock)
            await one.assigned({0})
            assert await one.begin([log(0, 100, topic_id)]) == {("gpu.samples", 0): 0}
            assert await one.begin([log(0, 100, topic_id)]) == {("gpu.samples", 0): 0}
            sender._next["gpu.samples"] = 0
            clock.now += HOUR
            await one.handle(sender.records([gpu(clock.now + number * MINUTE) for number in range(60)]))
            await one.flush()

    asyncio.run(scenario())

    gaps = store.gaps(10)
    assert [(gap.cause, gap.first_offset, gap.next_offset, gap.most_events) for gap in gaps] == [
        (GapCause.RECREATED, 60, 0, None),
        (GapCause.RECREATED, 60, 0, None),
    ]
    assert len({gap.incident_id for gap in gaps}) == 2
    assert store.claim_partition(0, "x", NOON).offsets == {"gpu.samples": 60}


def test_a_gap_that_was_not_written_is_found_again_as_the_same(store: Store, clock: Hand) -> None:
    """The offset, the gap, its incident and its message are one transaction: all, or nothing."""

    class Refusing:
        commits = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def commit(self, *given: Any, **how: Any) -> None:
            raise Fenced("another has it")

    async def scenario() -> None:
        await read_an_hour(keeper(store, clock), Sender())
        one = keeper(Refusing(), clock)
        await one.assigned({0})
        with pytest.raises(Fenced):
            await one.begin([log(90, 100)])
        assert (store.gaps(10), store.claim_partition(0, "x", NOON).offsets) == ([], {"gpu.samples": 60})
        two = keeper(store, clock)
        await two.assigned({0})
        await two.begin([log(90, 100)])

    asyncio.run(scenario())

    assert [gap.source for gap in store.gaps(10)] == ["gpu.samples/0@60-90"]


def test_a_store_that_is_away_is_waited_for_before_a_log_is_begun(store: Store, clock: Hand) -> None:
    class Away:
        failures = 2

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def pace_before(self, *given: Any) -> float | None:
            self.failures -= 1
            if self.failures >= 0:
                raise StoreUnavailable("away")
            return store.pace_before(*given)

    async def scenario() -> None:
        await read_an_hour(keeper(store, clock), Sender())
        one = keeper(Away(), clock)
        await one.assigned({0})
        await one.begin([log(90, 100)])

    asyncio.run(scenario())

    assert len(store.gaps(10)) == 1


def test_a_topic_that_was_never_read_has_no_gap_and_from_then_on_it_has(store: Store, clock: Hand) -> None:
    async def scenario() -> None:
        one = keeper(store, clock)
        await one.assigned({0})
        assert await one.begin([log(7, 9, topic="ops.changes")]) == {("ops.changes", 0): 7}
        two = keeper(store, clock)
        await two.assigned({0})
        assert await two.begin([log(9, 9, topic="ops.changes")]) == {("ops.changes", 0): 9}

    asyncio.run(scenario())

    (gap,) = store.gaps(10)
    assert (gap.source, gap.most_events, gap.usd_per_hour, gap.began_at) == ("ops.changes/0@7-9", 2, None, clock.now)


def test_the_pace_counts_one_partition_and_one_kind_of_line(store: Store, clock: Hand) -> None:
    asyncio.run(read_an_hour(keeper(store, clock), Sender()))

    assert store.pace_before(NOON + HOUR, "gpu", 0) == pytest.approx(4.0)
    assert store.pace_before(NOON + HOUR, "tokens", 0) is None
    assert store.pace_before(NOON + HOUR, "gpu", 3) is None
    assert store.pace_before(NOON + timedelta(days=3), "gpu", 0) is None
