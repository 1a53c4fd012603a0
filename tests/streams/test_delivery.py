from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct

from alerts.notices import Notice, Outcome, Reason, Receipt
from streams.delivery import Delivery, DeliveryPolicy

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DELIVERED = Receipt(outcome=Outcome.DELIVERED, reference="C1:1.0")
RETRY = Receipt(outcome=Outcome.RETRY)
AMBIGUOUS = Receipt(outcome=Outcome.AMBIGUOUS)
REFUSED = Receipt(outcome=Outcome.REFUSED)


class Claimed(Struct, frozen=True):
    notice: Notice
    attempts: int
    was_ambiguous: bool
    reference: str | None


class Row(Struct):
    notice: Notice
    state: str = "pending"
    attempts: int = 0
    retry_at: datetime | None = None
    lease_until: datetime | None = None
    receipt: Receipt | None = None


class ListOutbox:
    """An outbox in a list, with the leases of the real one."""

    def __init__(self, *notices: Notice) -> None:
        self.rows = [Row(notice) for notice in notices]

    def claim_notices(self, channel, owner, now, lease_s, limit):
        claimed = []
        for row in self.rows:
            waits = row.state in ("pending", "ambiguous") and (row.retry_at is None or row.retry_at <= now)
            abandoned = row.state == "sending" and row.lease_until <= now
            if row.notice.channel == channel and (waits or abandoned) and len(claimed) < limit:
                row.attempts += 1
                claimed.append(Claimed(row.notice, row.attempts, row.state != "pending", "C1:0.5"))
                row.state, row.lease_until = "sending", now + timedelta(seconds=lease_s)
        return claimed

    def settle_notice(self, notice_id, receipt, now, retry_at=None, owner=None):
        (row,) = [row for row in self.rows if row.notice.notice_id == notice_id]
        states = {Outcome.RETRY: "pending", Outcome.AMBIGUOUS: "ambiguous"}
        row.state, row.receipt, row.retry_at = states.get(receipt.outcome, str(receipt.outcome)), receipt, retry_at
        return True

    @property
    def states(self) -> list[str]:
        return [row.state for row in self.rows]


class Script:
    """A channel that answers as it is told to, and then always delivers; an exception is raised."""

    def __init__(self, name: str, *answers: object, found: Receipt = RETRY, takes_s: float = 0.0, clock=None) -> None:
        self.name = name
        self.sent: list[tuple[str, str | None]] = []
        self.asked: list[str] = []
        self._answers = list(answers)
        self._found = found
        self._takes_s = takes_s
        self._clock = clock

    def send(self, notice, reference):
        self.sent.append((notice.notice_id, reference))
        if self._clock is not None:
            self._clock.wait(self._takes_s)
        answer = self._answers.pop(0) if self._answers else DELIVERED
        if isinstance(answer, Exception):
            raise answer
        return answer

    def find(self, notice, reference):
        self.asked.append(notice.notice_id)
        return self._found


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def notice(name: str, channel: str = "slack", at: datetime = NOON) -> Notice:
    return Notice(
        notice_id=name,
        channel=channel,
        subject="incident",
        subject_id=name,
        transition=0,
        step="opened",
        reason=Reason.FIRST_TIME,
        title="$16.00/h",
        at=at,
    )


def delivery(outbox: ListOutbox, clock: Clock, *channels: Script, **options: object) -> Delivery:
    return Delivery(outbox, {channel.name: channel for channel in channels}, clock, "owner", **options)


def test_what_is_due_is_sent_once_and_settled():
    outbox, slack = ListOutbox(notice("a"), notice("b"), notice("c", "mail")), Script("slack")
    telling = delivery(outbox, Clock(), slack)

    assert (telling.deliver_due(), telling.deliver_due()) == (2, 0)
    assert slack.sent == [("a", "C1:0.5"), ("b", "C1:0.5")]
    assert outbox.states == ["delivered", "delivered", "pending"]
    assert outbox.rows[0].receipt == DELIVERED
    assert telling.outcomes == {("slack", Outcome.DELIVERED): 2}


def test_a_channel_that_is_down_holds_up_no_other():
    outbox = ListOutbox(notice("a", "dead"), notice("b", "dead"), notice("c"))
    dead, slack, clock = Script("dead", *[RETRY] * 99), Script("slack"), Clock()
    telling = delivery(outbox, clock, dead, slack)

    assert telling.deliver_due() == 2
    assert outbox.states == ["pending", "pending", "delivered"]
    assert [name for name, _ in dead.sent] == ["a"]


def test_a_channel_that_fails_rests_longer_each_time_up_to_a_minute():
    outbox = ListOutbox(*[notice(str(n)) for n in range(50)])
    clock, slack = Clock(), Script("slack", *[RETRY] * 50)
    telling = delivery(outbox, clock, slack)
    attempted = []

    for second in range(300):
        attempted += [second] * telling.deliver_due()
        clock.wait(1)

    assert attempted == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_a_notice_waits_twice_as_long_after_each_attempt_with_its_own_jitter():
    def waits(name: str) -> list[float]:
        outbox, clock, waits = ListOutbox(notice(name)), Clock(), []
        telling = delivery(outbox, clock, Script("slack", *[RETRY] * 20))
        for _ in range(10):
            assert telling.deliver_due() == 1
            waits.append((outbox.rows[0].retry_at - clock()).total_seconds())
            clock.wait(1000 * 1.25)
        return waits

    plain = [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]
    assert all(low <= wait <= 1.25 * low for low, wait in zip(plain, waits("a"), strict=True))
    assert waits("a") == waits("a") != waits("b")


def test_retry_after_is_kept_by_the_notice_and_by_the_channel():
    outbox, clock = ListOutbox(notice("a"), notice("b")), Clock()
    slack = Script("slack", Receipt(outcome=Outcome.RETRY, retry_after_s=30.0))
    telling = delivery(outbox, clock, slack)

    assert telling.deliver_due() == 1
    assert outbox.rows[0].retry_at == NOON + timedelta(seconds=30)
    clock.wait(29)
    assert telling.deliver_due() == 0
    clock.wait(1)
    assert telling.deliver_due() == 2
    assert outbox.states == ["delivered", "delivered"]


def test_no_more_than_one_message_a_second_where_the_vendor_asks_for_it():
    outbox, clock = ListOutbox(*[notice(str(n)) for n in range(5)]), Clock()
    telling = delivery(outbox, clock, Script("slack", REFUSED), min_intervals_s={"slack": 1.0})
    counts = []

    for _ in range(4):
        counts.append(telling.deliver_due())
        clock.wait(0.5)

    assert counts == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("found", "sent", "state"),
    [
        (DELIVERED, ["a"], "delivered"),
        (RETRY, ["a", "a"], "delivered"),
        (AMBIGUOUS, ["a"], "ambiguous"),
        (Receipt(outcome=Outcome.RETRY, retry_after_s=9.0), ["a"], "ambiguous"),
    ],
)
def test_what_may_have_come_through_is_looked_for_before_it_is_sent_again(found, sent, state):
    outbox, clock = ListOutbox(notice("a")), Clock()
    slack = Script("slack", AMBIGUOUS, found=found)
    telling = delivery(outbox, clock, slack)

    telling.deliver_due()
    assert outbox.states == ["ambiguous"]
    clock.wait(10)
    telling.deliver_due()

    assert slack.asked == ["a"]
    assert [name for name, _ in slack.sent] == sent
    assert outbox.states == [state]


def test_a_channel_that_cannot_be_read_back_repeats_only_where_that_is_chosen():
    def sent(**options: object) -> int:
        outbox, clock, mail = ListOutbox(notice("a", "mail")), Clock(), Script("mail", AMBIGUOUS, found=AMBIGUOUS)
        telling = delivery(outbox, clock, mail, **options)
        for _ in range(3):
            telling.deliver_due()
            clock.wait(60)
        return len(mail.sent)

    assert sent() == 1
    assert sent(resend_when_unsure={"mail"}) == 2


def test_what_cannot_be_told_for_a_day_is_refused_and_holds_up_its_subject_no_longer():
    outbox, clock = ListOutbox(notice("a")), Clock()
    unsure = Receipt(outcome=Outcome.AMBIGUOUS, detail="timeout")
    telling = delivery(outbox, clock, Script("slack", AMBIGUOUS, found=unsure))

    telling.deliver_due()
    clock.wait(86400)
    telling.deliver_due()
    assert outbox.states == ["ambiguous"]
    clock.wait(2000)
    telling.deliver_due()

    assert outbox.rows[0].receipt == Receipt(outcome=Outcome.REFUSED, detail="may have come through; timeout")


def test_what_a_crashed_sender_left_is_looked_for_when_its_lease_runs_out():
    outbox, clock = ListOutbox(notice("a")), Clock()
    outbox.claim_notices("slack", "crashed", NOON, 120.0, 1)
    slack = Script("slack", found=DELIVERED)
    telling = delivery(outbox, clock, slack)

    assert telling.deliver_due() == 0
    clock.wait(120)
    assert telling.deliver_due() == 1
    assert (slack.asked, slack.sent, outbox.states) == (["a"], [], ["delivered"])


def test_a_refused_notice_is_settled_and_counted_and_the_next_one_goes():
    outbox = ListOutbox(notice("a"), notice("b"))
    telling = delivery(outbox, Clock(), Script("slack", REFUSED))

    assert telling.deliver_due() == 2
    assert outbox.states == ["refused", "delivered"]
    assert telling.outcomes == {("slack", Outcome.REFUSED): 1, ("slack", Outcome.DELIVERED): 1}


def test_news_older_than_a_week_is_refused_unsent():
    week = timedelta(days=7)
    outbox = ListOutbox(notice("old", at=NOON - week - timedelta(seconds=1)), notice("week", at=NOON - week))
    slack = Script("slack")

    delivery(outbox, Clock(), slack).deliver_due()

    assert outbox.states == ["refused", "delivered"]
    assert outbox.rows[0].receipt == Receipt(outcome=Outcome.REFUSED, detail="too old to be news: 7.0 days")
    assert [name for name, _ in slack.sent] == ["week"]


def test_a_channel_that_raises_is_ambiguous_and_its_words_stay_out_of_the_record():
    outbox = ListOutbox(notice("a", "broken"), notice("b"))
    broken = Script("broken", RuntimeError("token xoxb-1"))

    delivery(outbox, Clock(), broken, Script("slack")).deliver_due()

    assert outbox.states == ["ambiguous", "delivered"]
    assert outbox.rows[0].receipt.detail == "the channel raised RuntimeError"


def test_one_call_ends_even_when_there_is_much_to_say():
    outbox = ListOutbox(*[notice(str(n)) for n in range(9)])
    telling = delivery(outbox, Clock(), Script("slack"), policy=DeliveryPolicy(attempts_per_call=4))

    assert [telling.deliver_due() for _ in range(4)] == [4, 4, 1, 0]


def test_a_slow_channel_is_claimed_one_notice_at_a_time():
    clock = Clock()
    outbox = ListOutbox(*[notice(str(n)) for n in range(3)])
    slack = Script("slack", takes_s=100.0, clock=clock)

    delivery(outbox, clock, slack, policy=DeliveryPolicy(turn_s=1000.0)).deliver_due()

    assert outbox.states == ["delivered"] * 3
    assert slack.asked == []


def test_a_slow_channel_lets_the_others_have_their_turn():
    clock = Clock()
    outbox = ListOutbox(*[notice(str(n)) for n in range(9)], notice("page", "pages"))
    slack, pages = Script("slack", takes_s=2.0, clock=clock), Script("pages")

    delivery(outbox, clock, slack, pages).deliver_due()

    assert [len(slack.sent), len(pages.sent)] == [3, 1]
