"""The ledger against an independent reckoning, to the nano-dollar and to the millisecond."""

from datetime import datetime, timedelta

from hypothesis import given

from tests.properties.driving import finished, hand, kept, pipeline
from tests.properties.oracle import ledger_of
from tests.properties.world import BAD, Log, Message, logs
from tests.support.hypothesis_profiles import effort


@effort(150)
@given(logs(extras=30))
def test_the_ledger_is_what_the_events_come_to(log: Log):
    one = pipeline()
    hand(one, log.records)
    result = kept(finished(one))

    sums = {
        key: (
            row.nano_usd,
            round(row.gpu_s * 1000),
            row.requests,
            row.input_tokens,
            row.output_tokens,
            row.unpriced_tokens,
        )
        for key, row in result.ledger.items()
    }
    assert sums == ledger_of(log.messages, result.rejects)


@effort(50)
@given(logs(extras=30))
def test_nothing_is_set_aside_but_what_is_wrong_and_nothing_wrong_is_taken(log: Log):
    one = pipeline()
    hand(one, log.records)
    set_aside = {key: row.reason for key, row in kept(finished(one)).rejects.items()}

    offsets: dict[str, int] = {}
    for message in log.messages:
        offset = offsets.get(message.topic, 0)
        offsets[message.topic] = offset + 1
        for index, why in expected(message).items():
            got = set_aside.pop((message.topic, offset, index), "")
            assert why in got, message
    assert {reason.partition(":")[0] for reason in set_aside.values()} <= {"more than 48 hours behind the stream"}


def expected(message: Message) -> dict[int, str]:
    """By place in the message: what the reason must say."""
    if isinstance(message.content, bytes):
        return {} if message.content == b"[]" else {0: ""} if message.content in BAD else {}
    wrong = {}
    for index, event in enumerate(message.events):
        if "workload" not in event:
            wrong[index] = "missing required field"
        elif moment(event["at"]) > message.arrived_at + timedelta(seconds=300):
            wrong[index] = "ahead of its arrival"
    return wrong


def moment(stamp: str) -> datetime:
    """When an event is dated."""
    return datetime.fromisoformat(stamp)
