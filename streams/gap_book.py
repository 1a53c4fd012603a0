"""The gaps of one partition: found where a log is begun, told once, and closed by the first message that follows."""

from datetime import datetime

import structlog
from msgspec.structs import replace

from detectors.findings import Finding
from detectors.minute import moment
from store.facts import GapRow, TopicIdRow
from store.store import Store
from streams import gaps
from streams.gaps import Hole, Log
from streams.pipeline import Pipeline
from streams.records import Messages, Slice

log = structlog.get_logger()

LINES = {"gpu.samples": "gpu", "token.usage": "tokens"}
"""The ledger's lines that a topic fills; a bill is no rate, and a change costs nothing."""


class GapBook:
    """Writes gaps into its pipeline's facts, so that one transaction holds them with the offsets and the incident."""

    def __init__(self, store: Store, pipeline: Pipeline, open_gaps: list[GapRow], topic_ids: dict[str, str]) -> None:
        """`open_gaps`: those after which nothing has come yet. `topic_ids`: as kept with the offsets."""
        self._store, self._pipeline = store, pipeline
        self._open, self._topic_ids = open_gaps, topic_ids

    @classmethod
    def load(cls, store: Store, pipeline: Pipeline) -> "GapBook":
        """The gaps of a partition as the store has them. Raises StoreUnavailable."""
        return cls(store, pipeline, store.open_gaps(pipeline.partition), store.topic_ids(pipeline.partition))

    def begin(self, now_held: Log, now: datetime) -> GapRow | None:
        """Set the pipeline's offset to where the log is read on; return the gap before it, if there is one.

        Raises StoreUnavailable, with nothing changed.
        """
        pipeline, topic = self._pipeline, now_held.topic
        known_id = self._topic_ids.get(topic)
        start, hole = gaps.where_to_begin(now_held, pipeline.offsets.get(topic), known_id)
        gap = None if hole is None else self._found(now_held, hole, now)
        pipeline.offsets[topic] = start
        if now_held.topic_id is not None and now_held.topic_id != known_id:
            self._topic_ids[topic] = now_held.topic_id
            pipeline.facts.topic_ids.append(
                TopicIdRow(partition=now_held.partition, topic=topic, topic_id=now_held.topic_id)
            )
        return gap

    def heard(self, messages: Messages, now: datetime) -> None:
        """Messages have been observed: gaps of their topic are over."""
        if not self._open or not len(messages):
            return
        first = messages if isinstance(messages, Slice) else messages[0]
        over = [gap for gap in self._open if gap.topic == first.topic]
        ended_at = moment(first.arrived_ms[0] / 1000) if isinstance(first, Slice) else first.arrived_at
        for gap in over:
            self._open.remove(gap)
            self._book(*gaps.closed(gap, ended_at, now))

    def _found(self, now_held: Log, hole: Hole, now: datetime) -> GapRow:
        began_at = self._read_up_to(now_held.topic) or now
        kind = LINES.get(now_held.topic)
        pace = None if kind is None else self._store.pace_before(began_at, kind, now_held.partition)
        gap, finding = gaps.found(now_held, hole, began_at=began_at, found_at=now, usd_per_hour=pace)
        gap = self._book(gap, finding)
        self._open.append(gap)
        usd = gap.usd(now)
        log.error(
            "kafka_messages_lost",
            topic=gap.topic,
            partition=gap.partition,
            cause=str(gap.cause),
            first_offset=gap.first_offset,
            next_offset=gap.next_offset,
            most_events=gap.most_events,
            since=gap.began_at.isoformat(),
            may_be_missing_usd=None if usd is None else round(usd, 2),
            reason=gaps.cause_in_words(gap.cause),
            remedy=gaps.remedy(gap.cause),
        )
        return gap

    def _book(self, gap: GapRow, finding: Finding) -> GapRow:
        pipeline = self._pipeline
        transition = pipeline.book.apply(finding)
        if transition is not None:
            gap = replace(gap, incident_id=transition.incident.incident_id)
            pipeline.facts.notices.extend(pipeline.route(transition))
        pipeline.facts.gaps.append(gap)
        return gap

    def _read_up_to(self, topic: str) -> datetime | None:
        """The newest event time of the topic that was read; else how far the partition has come."""
        own = self._pipeline.clock.inputs.get(topic)
        return self._pipeline.watermark if own is None else moment(own.newest_ms / 1000)
