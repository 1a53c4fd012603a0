"""Reading the dead-letter topic back ends, whatever the broker does."""

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from streams.dead_letter_reader import records_until

PLACE = TopicPartition("emberwatch.dead_letters", 0)


class Broker:
    """A consumer that is given these polls, one after the other, and nothing after them."""

    def __init__(self, polls: list[list[int]]) -> None:
        self.polls, self.at = polls, 0

    def position(self, place: TopicPartition) -> int:
        return self.at

    def poll(self, **_: Any) -> dict[TopicPartition, list[SimpleNamespace]]:
        offsets = self.polls.pop(0) if self.polls else []
        self.at = max([self.at, *(offset + 1 for offset in offsets)])
        return {PLACE: [SimpleNamespace(offset=offset) for offset in offsets]}


def test_it_reads_up_to_the_end_as_it_was_and_no_further():
    found = [one.offset for one in records_until(Broker([[0, 1], [], [2, 3, 4]]), PLACE, 4)]

    assert found == [0, 1, 2, 3]


def test_a_broker_that_goes_away_midway_is_not_waited_for_without_end():
    seconds = count()
    reading = records_until(Broker([[0, 1]]), PLACE, 4, silence_s=5, clock=lambda: float(next(seconds)))

    assert [next(reading).offset, next(reading).offset] == [0, 1]
    with pytest.raises(KafkaTimeoutError, match="nothing came for 5 s, at offset 2 of 4"):
        next(reading)
