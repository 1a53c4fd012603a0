"""Incidents and their messages, through crashes at every boundary and channels that misbehave: a stateful model.

The log of findings outlives every crash, as Kafka does; the store is a real one. The model is what a run without faults
would have opened, resolved and said.
"""

from datetime import UTC, datetime, timedelta
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from alerts.incidents import Book, Incident, SeverityPolicy
from alerts.matching import Matcher, Op
from alerts.messages import title
from alerts.notices import Notice, Outcome, Receipt
from alerts.routing import Route, Router
from alerts.scale_down import ScaleDownPolicy
from console.control import StoreControls
from detectors.findings import Cause, Finding, Kind
from store.errors import Fenced
from store.facts import Facts
from store.outbox import ClaimedNotice, State
from store.store import Store
from streams.delivery import Delivery
from tests.properties.channel import BLINDNESSES, MISDEEDS, RACES, Died, Misbehaving
from tests.support.hypothesis_profiles import effort

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = SeverityPolicy()
SUBJECTS = ((Kind.IDLE, "lab/alice/notebook"), (Kind.IDLE, "prod/llm/chat"), (Kind.DATA_GAP, "prod/llm/chat"))
PAGER = Route(match=(Matcher(label="severity", op=Op.EQUAL, value="page"),), to=("pager",), continue_=True)
CAUSES = (Cause.UNKNOWN, Cause.UNKNOWN, Cause.MODEL_MIX, Cause.PRICE)
MIXED = Route(match=(Matcher(label="cause", op=Op.EQUAL, value="model_mix"),), to=("pager",), continue_=True)
ROUTER = Router([PAGER, MIXED, Route(to=("slack",))], (), title)
DOLLARS = (5_000.0, 300.0, 30.0, 0.0)
LEASE, LEASE_S, CLAIM_S = "duties", 12.0, 120.0
TROUBLE = (*MISDEEDS, *RACES)


class Worker:
    """The memory of the process that owns the partition: gone with it."""

    def __init__(self, store: Store, now: datetime) -> None:
        claim = store.claim_partition(0, "worker", now)
        self.epoch, self.offset = claim.epoch, claim.offsets.get("findings", 0)
        self.book = Book(POLICY) if claim.snapshot is None else Book.from_bytes(claim.snapshot["book"], POLICY)
        self.incidents: list[Incident] = []
        self.notices: list[Notice] = []

    def take(self, findings: list[Finding]) -> None:
        for finding in findings:
            transition = self.book.apply(finding)
            if transition is not None:
                self.notices += ROUTER.decide(transition)
            self.offset += 1
        self.incidents += self.book.drain()

    def facts(self) -> Facts:
        facts = Facts(incidents=self.incidents, notices=self.notices)
        self.incidents, self.notices = [], []
        return facts


class DyingOutbox:
    """The store's outbox; the process can die before or after what it writes there."""

    def __init__(self, store: Store) -> None:
        self.store, self.dies = store, ""

    def claim_notices(self, *how: Any) -> Any:
        claimed = self.store.claim_notices(*how)
        self._die("claimed")
        return claimed

    def settle_notice(self, *how: Any) -> bool:
        self._die("unsettled")
        settled = self.store.settle_notice(*how)
        self._die("settled")
        return settled

    def _die(self, where: str) -> None:
        if self.dies == where:
            self.dies = ""
            raise Died


class IncidentMachine(RuleBasedStateMachine):
    """The rules are what the world does; the invariants are what people rely on."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.url = f"sqlite:///{self.folder.name}/store.db"
        self.now, self.at = START, START
        self.log: list[Finding] = []
        self.acknowledged: set[str] = set()
        self.holder, self.held_until = "", START  # of the duties' lease
        self.zombies: list[Worker] = []  # stood still while another took their partition
        self.late: tuple[ClaimedNotice, Outcome] | None = None  # claimed by one that has not answered yet
        self.stood: dict[str, Incident] = {}  # each incident as the store last had it
        self.store = Store.open(self.url)
        self.channels = {name: Misbehaving(name, self._meanwhile) for name in ("slack", "pager")}
        self.model = Worker.__new__(Worker)  # a run without faults
        self.model.book, self.model.offset = Book(POLICY), 0
        self.model.incidents, self.model.notices = [], []
        self.starts = 0
        self._start()

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self._settle_everything()
        finally:
            self.store.close()
            self.folder.cleanup()

    def _start(self) -> None:
        """A process comes up, knowing nothing but the store."""
        self.starts += 1
        self.worker = Worker(self.store, self.now)
        self.outbox = DyingOutbox(self.store)
        self.delivery = Delivery(self.outbox, self.channels, lambda: self.now, f"delivery-{self.starts}")

    def _crash(self) -> None:
        self.store.close()
        self.store = Store.open(self.url)
        self._start()

    def _meanwhile(self, channel: str, race: str) -> None:
        """What other processes do while one is sending."""
        self.now += timedelta(seconds=150 if race == "slow answer" else 1)
        if race == "late answer" and self.late is not None and self.late[0].notice.channel == channel:
            claimed, outcome = self.late
            self.late = None
            self.store.settle_notice(
                claimed.notice.notice_id, Receipt(outcome=outcome), self.now, retry_at=self.now, owner="late"
            )
        Delivery(self.store, self.channels, lambda: self.now, "another").deliver_due()

    def _takes_lease(self, owner: str) -> bool:
        """Whether this process does the duties now: as the store says, and as it must say."""
        held = self.store.acquire_lease(LEASE, owner, self.now, LEASE_S)
        assert held == (owner == self.holder or self.held_until <= self.now)
        if held:
            self.holder, self.held_until = owner, self.now + timedelta(seconds=LEASE_S)
        return held

    # what is found

    @rule(
        subject=st.integers(0, len(SUBJECTS) - 1),
        usd=st.sampled_from(DOLLARS),
        cleared=st.booleans(),
        minutes=st.integers(0, 3),
        late=st.sampled_from([0, 0, 0, 1, 4]),
        began=st.integers(0, 3),
        cause=st.sampled_from(CAUSES),
    )
    def find(
        self, subject: int, usd: float, cleared: bool, minutes: int, late: int, began: int, cause: Cause = Cause.UNKNOWN
    ) -> None:
        kind, workload = SUBJECTS[subject]
        self.at += minutes * MINUTE
        at = self.at - late * MINUTE
        self.log.append(
            Finding(
                kind=kind,
                cause=cause,
                at=at,
                began_at=at - began * 7 * MINUTE,
                workload=workload,
                cleared=cleared,
                usd_per_hour=usd,
                usd_so_far=usd,
            )
        )
        self.now = max(self.now, self.at)

    @precondition(lambda self: self.log)
    @rule(which=st.integers(0, 30), seconds=st.sampled_from([0, 0, 20]), cleared=st.booleans())
    def find_late(self, which: int, seconds: int, cleared: bool) -> None:
        """What was found before is found again, as events that come late or twice do; it may be seen otherwise."""
        one = self.log[-1 - which % len(self.log)]
        self.log.append(replace(one, at=one.at + timedelta(seconds=seconds), cleared=one.cleared and cleared))

    # what the worker does

    @precondition(lambda self: self.worker.offset < len(self.log))
    @rule(number=st.integers(1, 5))
    def process(self, number: int) -> None:
        self.worker.take(self.log[self.worker.offset :][:number])

    @rule(end=st.sampled_from(["", "", "dies before", "dies after"]), whole=st.booleans())
    def commit(self, end: str, whole: bool) -> None:
        """`whole`: with snapshot and offsets; else facts ahead of them."""
        if end != "dies before":
            worker = self.worker
            snapshot = {"book": worker.book.to_bytes()} if whole else None
            offsets = {"findings": worker.offset} if whole else {}
            self.store.commit(0, worker.epoch, worker.facts(), snapshot=snapshot, offsets=offsets, now=self.now)
        if end:
            self._crash()

    @rule(
        usd=st.sampled_from(DOLLARS),
        cleared=st.booleans(),
        subject=st.integers(0, len(SUBJECTS) - 1),
        cause=st.sampled_from(CAUSES),
    )
    def work(self, usd: float, cleared: bool, subject: int, cause: Cause = Cause.UNKNOWN) -> None:
        """Ordinary operation: something is found, taken in and written, its facts ahead of the snapshot."""
        self.find(subject, usd, False, 1, 0, 1, cause)
        if cleared:
            self.find(subject, usd, True, 2, 0, 1)
        self.worker.take(self.log[self.worker.offset :])
        self.commit("", False)
        self.commit("", True)

    @rule(
        channel=st.sampled_from(["slack", "slack", "pager"]),
        misdeeds=st.lists(st.sampled_from(TROUBLE), min_size=1, max_size=3),
        dies=st.sampled_from(["", "", "claimed", "unsettled", "settled"]),
        times=st.integers(1, 4),
    )
    def have_trouble(self, channel: str, misdeeds: list[str], dies: str, times: int) -> None:
        """Something loud is found while a channel misbehaves; it is tried again later."""
        self.work(5_000.0, True, 0)
        self.misbehave(channel, misdeeds)
        self.deliver(dies, 0)
        for _ in range(times):
            self.wait(200)
            self.deliver("", 0)

    @rule(channel=st.sampled_from(["slack", "pager"]), outcome=st.sampled_from([Outcome.RETRY, Outcome.AMBIGUOUS]))
    def hang_with_a_claim(self, channel: str, outcome: Outcome) -> None:
        """A process hangs with what it claimed; its answer comes while its heir is sending that."""
        self.work(5_000.0, False, 0)
        for claimed in self.store.claim_notices(channel, "late", self.now, CLAIM_S, 1):
            self.late = (claimed, outcome)
        self.wait(200)
        self.misbehave(channel, ["late answer"])
        self.deliver("", 0)

    @rule()
    def crash(self) -> None:
        self._crash()

    @rule(usd=st.sampled_from(DOLLARS), subject=st.integers(0, len(SUBJECTS) - 1), fewer=st.integers(0, 2))
    def read_again(self, usd: float, subject: int, fewer: int) -> None:
        """Facts are written ahead of their snapshot and told; after a death the same is read again, at first less."""
        self.find(subject, usd, False, 1, 0, 1)
        self.find(subject, usd, True, 2, 0, 1)
        self.worker.take(self.log[self.worker.offset :])
        self.commit("", False)
        self.deliver("", 0)
        self._crash()
        self.worker.take(self.log[self.worker.offset : len(self.log) - fewer])
        self.commit("", False)
        self.deliver("", 0)

    @rule(number=st.integers(0, 3))
    def stand_still(self, number: int) -> None:
        """The process stands still, with findings taken in, for so long that another takes its partition."""
        self.worker.take(self.log[self.worker.offset :][:number])
        self.zombies.append(self.worker)
        self._start()

    @precondition(lambda self: self.zombies)
    @rule(number=st.integers(0, 5), whole=st.booleans())
    def wake_up(self, number: int, whole: bool) -> None:
        """It goes on as if nothing had been, until it is told."""
        one = self.zombies.pop(0)
        one.take(self.log[one.offset :][:number])
        snapshot = {"book": one.book.to_bytes()} if whole else None
        offsets = {"findings": one.offset} if whole else {}
        with pytest.raises(Fenced):
            self.store.commit(0, one.epoch, one.facts(), snapshot=snapshot, offsets=offsets, now=self.now)

    # what channels and people do

    @rule(channel=st.sampled_from(["slack", "pager"]), misdeeds=st.lists(st.sampled_from(TROUBLE), max_size=3))
    def misbehave(self, channel: str, misdeeds: list[str]) -> None:
        self.channels[channel].misdeeds += misdeeds

    @rule(channel=st.sampled_from(["slack", "pager"]), blind=st.sampled_from(BLINDNESSES))
    def go_blind(self, channel: str, blind: str) -> None:
        self.channels[channel].blind.append(blind)

    @rule(dies=st.sampled_from(["", "", "claimed", "unsettled", "settled"]), stops=st.sampled_from([0, 0, 1, 2, 3, 4]))
    def deliver(self, dies: str, stops: int) -> None:
        """`stops`: at that time of asking whether it may send, it stands still, and another takes over; 0: never."""
        if not self._takes_lease(f"delivery-{self.starts}"):
            self.wait(13)
            assert self._takes_lease(f"delivery-{self.starts}")
        self.outbox.dies = dies
        asked = count(1)

        def may_send() -> bool:
            if not stops or next(asked) < stops:
                return True
            self._meanwhile("", "slow answer")
            return False

        try:
            self.delivery.deliver_due(may_send)
        except Died:
            note("died")
            self._crash()
        self.outbox.dies = ""

    @rule()
    def another_wants_the_duties(self) -> None:
        self._takes_lease("another")

    @rule(seconds=st.sampled_from([10, 60, 200, 3600]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.store.open_incidents())
    @rule(which=st.integers(0, 2))
    def acknowledge(self, which: int) -> None:
        incidents = self.store.open_incidents()
        chosen = incidents[which % len(incidents)].incident_id
        controls = StoreControls(self.store, ROUTER, ScaleDownPolicy(), lambda: self.now)
        assert controls.acknowledge(chosen, "web:ann") == (chosen not in self.acknowledged)
        self.acknowledged.add(chosen)

    # what must hold, always

    @invariant()
    def nothing_is_said_twice(self) -> None:
        for channel in getattr(self, "channels", {}).values():
            said = [(one.subject_id, one.transition, one.step) for one in channel.seen]
            assert len(said) == len(set(said)), channel.name

    @invariant()
    def news_come_in_order(self) -> None:
        for channel in getattr(self, "channels", {}).values():
            latest: dict[str, int] = {}
            for one in channel.seen:
                assert one.transition >= latest.get(one.subject_id, 0), channel.name
                latest[one.subject_id] = one.transition
            told = [(one.subject_id, str(one.step)) for one in channel.seen]
            for place, (subject, step) in enumerate(told):
                if step == "resolved":  # after its trigger, unless that was refused
                    triggers = [f"{subject}:0:{channel.name}" in channel.refused, (subject, "opened") in told[:place]]
                    assert (
                        any(triggers) or (subject, "updated") in told[:place] or self._never_opened_on(subject, channel)
                    )

    def _never_opened_on(self, subject: str, channel: Misbehaving) -> bool:
        """It was not loud enough for the channel when it opened; what first went there was refused."""
        return any(refused.startswith(f"{subject}:") for refused in channel.refused)

    @invariant()
    def one_incident_is_open_for_a_condition(self) -> None:
        if hasattr(self, "store"):
            prints = [one.fingerprint for one in self.store.open_incidents()]
            assert len(prints) == len(set(prints))

    @invariant()
    def incidents_only_go_forward(self) -> None:
        """What is read again after a crash takes nothing back that people have seen."""
        if not hasattr(self, "store"):
            return
        for one in self.store.list_incidents(1000):
            was = self.stood.get(one.incident_id, one)
            assert (one.transition, one.updated_at) >= (was.transition, was.updated_at)
            assert one.updated_at >= was.updated_at
            assert one.resolved_at is not None or was.resolved_at is None
            assert one.acknowledged_by == (was.acknowledged_by or one.acknowledged_by)
            self.stood[one.incident_id] = one

    # what must hold in the end

    def _settle_everything(self) -> None:
        self._crash()
        self.worker.take(self.log[self.worker.offset :])
        worker = self.worker
        self.store.commit(
            0, worker.epoch, worker.facts(), snapshot={"book": worker.book.to_bytes()},
            offsets={"findings": worker.offset}, now=self.now,
        )  # fmt: skip
        for channel in self.channels.values():
            channel.heal()
        for _ in range(200):
            if not self.store.pending_counts():
                break
            self.now += timedelta(seconds=901)
            self.delivery.deliver_due()
        self.nothing_is_said_twice()
        self.news_come_in_order()
        self.everything_is_told_or_refused_with_a_reason()
        self.whoever_heard_of_an_incident_hears_of_its_end()
        self.the_store_is_as_without_faults()

    def everything_is_told_or_refused_with_a_reason(self) -> None:
        assert self.store.pending_counts() == {}
        for entry in self.store.notices(10_000):
            seen = [one.notice_id for one in self.channels[entry.notice.channel].seen].count(entry.notice.notice_id)
            if entry.state is State.DELIVERED:
                assert seen == 1, entry
            else:
                assert (entry.state, seen) == (State.REFUSED, 0), entry
                assert entry.detail, entry

    def whoever_heard_of_an_incident_hears_of_its_end(self) -> None:
        for one in self.store.list_incidents(1000, state="resolved"):
            notices = [entry.notice for entry in self.store.notices(1000, subject_id=one.incident_id)]
            heard = {notice.channel for notice in notices if notice.step in ("opened", "updated")}
            assert heard == {notice.channel for notice in notices if notice.step == "resolved"}

    def the_store_is_as_without_faults(self) -> None:
        self.model.take(self.log)
        wanted = {one.notice_id for one in self.model.notices}
        kept = {entry.notice.notice_id: entry.notice for entry in self.store.notices(10_000)}
        said = {one_id for one_id, notice in kept.items() if notice.step != "acknowledged"}
        assert said == wanted
        latest = {one.incident_id: one for one in self.model.incidents}
        far = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
        held = {one.incident_id: one for one in self.store.incidents_between(*far)}
        assert {one.incident_id for one in held.values() if one.acknowledged_at} == self.acknowledged
        assert set(held) == set(latest)
        for one_id, incident in latest.items():
            same = [getattr(incident, name) for name in Incident.__struct_fields__ if not name.startswith("ack")]
            assert [
                getattr(held[one_id], name) for name in Incident.__struct_fields__ if not name.startswith("ack")
            ] == same
        assert by_hand(self.log) == {
            (one.kind, one.workload, one.detected_at, one.resolved_at is not None) for one in held.values()
        }


def by_hand(log: list[Finding]) -> set[tuple[Kind, str | None, datetime, bool]]:
    """Which incidents there must have been, opened when, and whether they ended: by the plain rule."""
    incidents: dict[tuple[Kind, str | None], list[list[Any]]] = {}
    for one in log:
        rows = incidents.setdefault((one.kind, one.workload), [])
        if rows and rows[-1][2] is None:  # one is open
            if one.at >= rows[-1][1]:
                rows[-1][1] = one.at
                rows[-1][2] = one.at if one.cleared else None
        elif not one.cleared and (not rows or one.at > rows[-1][2]):
            rows.append([one.at, one.at, None])
    return {(*subject, row[0], row[2] is not None) for subject, rows in incidents.items() for row in rows}


IncidentMachine.TestCase.settings = effort(20, steps=25)
TestIncidents = IncidentMachine.TestCase
