"""What is said, held back and summed up, on a real store and through the real delivery."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace

from alerts.incidents import Incident, Severity, Step, Transition
from alerts.matching import Matcher
from alerts.messages import title
from alerts.notices import Notice, Outcome, Reason, Receipt
from alerts.reasons import Hush
from alerts.routing import Route, Router
from alerts.silences import silence
from alerts.speaking import SpeakingPolicy
from alerts.summaries import Summary
from detectors.findings import Kind
from store.facts import Facts
from store.outbox import State
from store.store import Store
from streams.delivery import Delivery
from streams.reminders import Reminders
from streams.speaking import Gate
from tests.alerts.samples import DATA_GAP, IDLE

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Listening:
    """A channel that writes down what it is told and when; it may be away."""

    def __init__(self, name: str) -> None:
        self.name, self.heard, self.away, self.now = name, [], False, NOON

    def send(self, notice: Notice, reference: str | None) -> Receipt:
        if self.away:
            return Receipt(outcome=Outcome.RETRY)
        self.heard.append((self.now, notice))
        return Receipt(outcome=Outcome.DELIVERED, reference=reference or notice.subject_id)

    def find(self, notice: Notice, reference: str | None) -> Receipt:
        return Receipt(outcome=Outcome.RETRY)


class Talk:
    """Store, gate, delivery and reminders under a clock of the test's own."""

    def __init__(self, store: Store, policy: SpeakingPolicy | None = None, *, escalate_to: Sequence[str] = ()) -> None:
        self.store, self.now = store, NOON
        self.channels = {name: Listening(name) for name in ("slack", "pager", "boss")}
        self.router = Router(
            [Route(match=(Matcher.parse("severity=page"),), to=("pager",), continue_=True), Route(to=("slack",))],
            (),
            title,
        )
        self.epoch = store.claim_partition(0, "me", NOON).epoch
        self.policy, self.escalate_to = policy, escalate_to
        self.restart()

    def restart(self) -> None:
        """Another process, which knows nothing but the store."""
        self.gate = Gate(self.store, self.policy, wakes=["pager"])
        self.reminders = Reminders(self.store, self.gate, title, self.escalate_to)
        self.delivery = Delivery(
            self.store, self.channels, lambda: self.now, "me", min_intervals_s={"slack": 1.0}, speaking=self.gate
        )

    def happen(self, *incidents: Incident, step: Step = Step.OPENED, reason: Reason = Reason.FIRST_TIME) -> None:
        notices = [
            notice
            for one in incidents
            for notice in self.router.decide(Transition(incident=one, step=step, reason=reason))
        ]
        facts = Facts(incidents=list(incidents), notices=notices)
        self.store.commit(0, self.epoch, facts, snapshot=None, offsets={}, now=self.now)

    def over(self, *incidents: Incident) -> None:
        ended = [
            replace(one, resolved_at=self.now, updated_at=self.now, transition=one.transition + 1) for one in incidents
        ]
        self.happen(*ended, step=Step.RESOLVED, reason=Reason.RESOLVED)

    def wait(self, how_long: timedelta, every: timedelta = SECOND) -> None:
        """Let time pass, with all that is due done on the way."""
        until = self.now + how_long
        while self.now < until:
            self.now += every
            for channel in self.channels.values():
                channel.now = self.now
            if every >= 10 * SECOND or not self.now.second % 10:
                self.reminders.run(self.now)
            self.delivery.deliver_due()

    def heard(self, channel: str = "slack") -> list[tuple[str, str]]:
        return [(one.subject_id, str(one.reason)) for _, one in self.channels[channel].heard]

    def held(self, channel: str = "slack") -> list[tuple[str, Hush | None]]:
        rows = [row for row in self.store.notices(100_000, channel) if row.state is State.HUSHED]
        return [(row.notice.subject_id, row.hushed) for row in rows][::-1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


def idle(name: str, **fields: Any) -> Incident:
    given = {
        "incident_id": f"inc_{name}",
        "fingerprint": f"idle|{name}",
        "severity": Severity.WARN,
        "workload": f"cluster-{name}/lab/{name}",
        "team": f"team-{name}",
        "devices": (f"GPU-{name}",),
        "began_at": NOON,
        "detected_at": NOON,
        "updated_at": NOON,
    }
    return replace(IDLE, **{**given, **fields})


def page(name: str, **fields: Any) -> Incident:
    return idle(name, severity=Severity.PAGE, **fields)


def test_what_is_silenced_is_kept_with_its_reason_and_told_when_the_silence_ends(store: Store) -> None:
    talk = Talk(store)
    quiet = silence([Matcher.parse('team="team-a"')], starts_at=NOON, ends_at=NOON + 10 * MINUTE, by="ana", now=NOON)
    store.add_silence(quiet)
    talk.happen(idle("a"), idle("b"))

    talk.wait(9 * MINUTE, every=30 * SECOND)
    assert (talk.heard(), talk.held()) == ([("inc_b", "first_time")], [("inc_a", Hush.SILENCED)])
    talk.wait(2 * MINUTE, every=30 * SECOND)
    assert talk.heard() == [("inc_b", "first_time"), ("inc_a", "hush_ended")]
    talk.over(idle("a"))
    talk.wait(MINUTE)
    assert talk.heard()[2:] == [("inc_a", "resolved")]


def test_the_end_of_what_was_never_told_is_not_told(store: Store) -> None:
    talk = Talk(store)
    store.add_silence(silence([Matcher.parse("kind=idle")], starts_at=NOON, ends_at=NOON + HOUR, by="ana", now=NOON))
    talk.happen(idle("a"))
    talk.wait(10 * SECOND)
    talk.over(idle("a"))
    talk.wait(2 * HOUR, every=MINUTE)

    assert (talk.heard(), talk.held()) == ([], [("inc_a", Hush.SILENCED), ("inc_a", Hush.NEVER_TOLD)])
    assert store.held_between(NOON, NOON + HOUR) == [(Hush.SILENCED, "inc_a")]


def test_a_snoozed_incident_is_told_again_when_the_snooze_ends_though_nothing_was_held_back(store: Store) -> None:
    talk = Talk(store)
    talk.happen(idle("a"))
    talk.wait(10 * SECOND)
    store.snooze("inc_a", NOON + HOUR, "ana", talk.now)

    talk.wait(50 * MINUTE, every=MINUTE)
    assert talk.heard() == [("inc_a", "first_time")]
    talk.wait(20 * MINUTE, every=MINUTE)
    assert talk.heard() == [("inc_a", "first_time"), ("inc_a", "hush_ended")]
    talk.wait(5 * HOUR, every=10 * MINUTE)
    assert len(talk.heard()) == 2


def test_idle_where_the_telemetry_is_lost_waits_until_it_is_back(store: Store) -> None:
    talk = Talk(store)
    lost = idle("gap", kind=Kind.DATA_GAP, cause=DATA_GAP.cause, devices=("GPU-a",))
    talk.happen(lost)
    talk.wait(5 * SECOND)
    talk.happen(idle("a"))
    talk.wait(MINUTE)
    assert talk.held() == [("inc_a", Hush.TELEMETRY_LOST)]

    talk.over(lost)
    talk.wait(MINUTE)

    assert talk.heard() == [("inc_gap", "first_time"), ("inc_gap", "resolved"), ("inc_a", "hush_ended")]


def test_two_pages_in_twelve_hours_wake_an_owner_and_the_third_is_a_message(store: Store) -> None:
    talk = Talk(store)
    for number in range(4):
        talk.happen(page(str(number), team="search"), page(f"other{number}", team="chat"))
        talk.wait(HOUR, every=10 * MINUTE)
        talk.restart()

    woken = [subject for subject, reason in talk.heard("pager") if reason == "first_time"]
    assert woken == ["inc_0", "inc_other0", "inc_1", "inc_other1"]
    assert len([1 for _, reason in talk.heard("slack") if reason == "first_time"]) == 8
    assert {hush for _, hush in talk.held("pager")} == {Hush.BUDGET_SPENT}
    for number in range(2):
        store.acknowledge(f"inc_{number}", "ana", talk.now)
    talk.wait(10 * HOUR, every=10 * MINUTE)
    assert ("inc_2", "hush_ended") in talk.heard("pager")


def test_a_page_that_nobody_takes_is_repeated_and_escalated_and_one_that_is_taken_is_not(store: Store) -> None:
    talk = Talk(store, escalate_to=("boss",))
    talk.happen(page("a"), page("b"))
    talk.wait(10 * SECOND)
    store.acknowledge("inc_b", "ana", talk.now)
    talk.wait(9 * HOUR, every=5 * MINUTE)

    assert talk.heard("boss") == [("inc_a", "not_acknowledged"), *[("inc_a", "still_open")] * 2]
    for channel in ("pager", "slack"):
        assert talk.heard(channel) == [("inc_a", "first_time"), ("inc_b", "first_time"), *[("inc_a", "still_open")] * 2]


def test_who_was_called_in_hears_of_the_end(store: Store) -> None:
    talk = Talk(store, escalate_to=("boss",))
    talk.happen(page("a"))
    talk.wait(20 * MINUTE, every=MINUTE)
    talk.over(page("a"))
    talk.wait(2 * MINUTE, every=20 * SECOND)

    assert talk.heard("boss") == [("inc_a", "not_acknowledged"), ("inc_a", "resolved")]


def test_the_fifth_of_a_team_and_cause_goes_into_one_summary_that_is_edited(store: Store) -> None:
    talk = Talk(store)
    alike = [idle(f"w{n}", workload=f"prod/lab/w{n}", team="search", usd_per_hour=float(n)) for n in range(8)]
    for one in alike:
        talk.happen(one)
        talk.wait(2 * SECOND)
    talk.wait(20 * SECOND)
    assert [subject for subject, _ in talk.heard()] == [f"inc_w{n}" for n in range(5)]
    talk.wait(30 * SECOND)

    ((_, told),) = [one for one in talk.channels["slack"].heard if one[1].subject == "summary"]
    summary = json.decode(told.body, type=Summary)
    assert (summary.incidents, summary.usd_per_hour, summary.what) == (
        3,
        18.0,
        "idle (memory held) in prod of team search",
    )
    talk.over(*alike)
    talk.wait(6 * MINUTE, every=5 * SECOND)
    last = talk.channels["slack"].heard[-1][1]
    summary = json.decode(last.body, type=Summary)
    assert (last.subject, summary.incidents, summary.over) == ("summary", 3, 3)


def test_a_cause_that_a_whole_cluster_has_is_told_once(store: Store) -> None:
    talk = Talk(store, SpeakingPolicy(storm_from=1000))
    parts = [idle(f"w{n}", workload=f"prod/lab/w{n}", team=f"team-{n}") for n in range(30)]
    talk.happen(*parts)
    talk.wait(90 * SECOND)

    assert len([1 for _, one in talk.channels["slack"].heard if one.subject == "incident"]) == 10
    assert len([1 for _, one in talk.channels["slack"].heard if one.subject == "summary"]) == 1
    assert talk.held() == [(f"inc_w{n}", Hush.FLEET_CAUSE) for n in range(10, 30)]


def test_a_storm_is_told_in_its_dearest_and_one_summary_and_nothing_is_lost(store: Store) -> None:
    talk = Talk(store)
    many = [idle(f"s{n}", usd_per_hour=float(n + 1), workload=f"c{n}/lab/s{n}") for n in range(10_000)]
    talk.happen(*many)
    talk.wait(70 * SECOND)

    slack = talk.channels["slack"].heard
    assert slack[0][0] - NOON <= 5 * SECOND
    assert [one.subject_id for _, one in slack[:3]] == ["inc_s9997", "inc_s9998", "inc_s9999"]
    summaries = [(at, json.decode(one.body, type=Summary)) for at, one in slack if one.subject == "summary"]
    assert [at - NOON <= MINUTE for at, _ in summaries] == [True]
    assert (summaries[0][1].incidents, len(summaries[0][1].top)) == (9_997, 10)
    times = [at for at, _ in slack]
    assert all(later - earlier >= SECOND for earlier, later in pairwise(times))
    told = {one.subject_id for _, one in slack if one.subject == "incident"}
    held = {subject for subject, hush in talk.held() if hush is Hush.COLLAPSED}
    assert told | held == {one.incident_id for one in many}
    assert {row.summary for row in store.notices(100_000, "slack") if row.hushed} == {summaries[0][1].summary_id}
    assert store.pending_counts() == {}


def test_after_an_outage_the_present_state_is_told_once_rather_than_the_backlog(store: Store) -> None:
    talk = Talk(store)
    slack = talk.channels["slack"]
    one, other = idle("a"), idle("b")
    slack.away = True
    talk.happen(one, other)
    talk.wait(MINUTE)
    for number in range(1, 6):
        one = replace(one, transition=number, usd_so_far=30.0 * 2**number, updated_at=talk.now)
        talk.happen(one, step=Step.UPDATED, reason=Reason.DOLLARS_DOUBLED)
        talk.wait(10 * MINUTE, every=10 * SECOND)
    talk.over(other)
    slack.away = False
    talk.wait(30 * MINUTE, every=10 * SECOND)

    assert sorted((one.subject_id, one.transition) for _, one in slack.heard) == [("inc_a", 5), ("inc_b", 1)]
    assert store.pending_counts() == {}


def test_what_comes_back_within_the_hour_is_told_once_the_hour_is_over(store: Store) -> None:
    talk = Talk(store)
    talk.happen(idle("a"))
    talk.wait(5 * SECOND)
    talk.over(idle("a"))
    talk.wait(5 * SECOND)
    ended = talk.now
    again = idle("a2", fingerprint="idle|a", reopens="inc_a", ended_before_at=ended, detected_at=ended)
    talk.happen(again, reason=Reason.REOPENED)
    talk.wait(30 * MINUTE, every=MINUTE)
    assert talk.held() == [("inc_a2", Hush.FLAPPING)]
    talk.wait(35 * MINUTE, every=MINUTE)

    assert talk.heard() == [("inc_a", "first_time"), ("inc_a", "resolved"), ("inc_a2", "hush_ended")]
