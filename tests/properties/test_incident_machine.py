"""Incidents and their messages, through crashes at every boundary and channels that misbehave: a stateful model.

The log of findings outlives every crash, as Kafka does; the store is a real one. The model is what a run without faults
would have opened, resolved and said.
"""

from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from alerts.incidents import Book, Incident
from alerts.notices import Outcome, Receipt
from alerts.scale_down import ScaleDownPolicy
from console.control import StoreControls
from detectors.findings import Cause, Finding
from store.errors import Fenced
from store.outbox import ClaimedNotice, State
from store.store import Store
from streams.delivery import Delivery
from tests.properties.channel import BLINDNESSES, MISDEEDS, RACES, Died, Misbehaving
from tests.properties.incidents import (
    CAUSES,
    DOLLARS,
    MINUTE,
    POLICY,
    ROUTER,
    START,
    SUBJECTS,
    DyingOutbox,
    Worker,
    by_hand,
)
from tests.support.hypothesis_profiles import effort

LEASE, LEASE_S, CLAIM_S = "duties", 12.0, 120.0
TROUBLE = (*MISDEEDS, *RACES)


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
        self.outbox = DyingOutbox(self.store, self._stand_still)
        self.delivery = Delivery(self.outbox, self.channels, lambda: self.now, f"delivery-{self.starts}")

    def _crash(self) -> None:
        self.store.close()
        self.store = Store.open(self.url)
        self._start()

    def _meanwhile(self, channel: str, race: str) -> None:
        """What other processes do while one is sending."""
        self.now += timedelta(seconds=150 if race == "slow answer" else 1)
        if race != "slow answer":  # it is still sending, and no channel takes as long for that as a claim holds
            for one in self.channels.values():
                one.misdeeds = [misdeed for misdeed in one.misdeeds if misdeed != "slow answer"]
        if race == "late answer" and self.late is not None and self.late[0].notice.channel == channel:
            claimed, outcome = self.late
            self.late = None
            self.store.settle_notice(
                claimed.notice.notice_id, Receipt(outcome=outcome), self.now, retry_at=self.now, owner="late"
            )
        Delivery(self.store, self.channels, lambda: self.now, "another").deliver_due()

    def _stand_still(self) -> None:
        """Right after a claim, for so long that another takes over what was claimed, and the duties."""
        self._meanwhile("", "slow answer")
        self.stalled = True

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
        causes=st.tuples(st.sampled_from(CAUSES), st.sampled_from(CAUSES)),
    )
    def work(self, usd: float, cleared: bool, subject: int, causes: tuple[Cause, Cause] = (Cause.UNKNOWN,) * 2) -> None:
        """Ordinary operation: something is found, taken in and written, its facts ahead of the snapshot."""
        for cause in causes:
            self.find(subject, usd, False, 1, 0, 1, cause)
        if cleared:
            self.find(subject, usd, True, 2, 0, 1)
        self.worker.take(self.log[self.worker.offset :])
        self.commit("", False)
        self.commit("", True)

    @rule(
        channel=st.sampled_from(["slack", "slack", "pager"]),
        misdeeds=st.lists(st.sampled_from(TROUBLE), min_size=1, max_size=3),
        dies=st.sampled_from(["", "stands still", "claimed", "unsettled", "settled"]),
        times=st.integers(1, 4),
    )
    def have_trouble(self, channel: str, misdeeds: list[str], dies: str, times: int) -> None:
        """Something loud is found while a channel misbehaves; it is tried again later."""
        self.work(5_000.0, True, 0)
        self.misbehave(channel, misdeeds)
        self.deliver(dies)
        for _ in range(times):
            self.wait(200)
            self.deliver("")

    @rule(channel=st.sampled_from(["slack", "pager"]), outcome=st.sampled_from([Outcome.RETRY, Outcome.AMBIGUOUS]))
    def hang_with_a_claim(self, channel: str, outcome: Outcome) -> None:
        """A process hangs with what it claimed; its answer comes while its heir is sending that."""
        self.work(5_000.0, False, 0)
        for claimed in self.store.claim_notices(channel, "late", self.now, CLAIM_S, 1):
            self.late = (claimed, outcome)
        self.wait(200)
        self.misbehave(channel, ["late answer"])
        self.deliver("")

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
        self.deliver("")
        self._crash()
        self.worker.take(self.log[self.worker.offset : len(self.log) - fewer])
        self.commit("", False)
        self.deliver("")

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

    @rule(dies=st.sampled_from(["", "", "claimed", "unsettled", "settled", "stands still"]))
    def deliver(self, dies: str) -> None:
        if not self._takes_lease(f"delivery-{self.starts}"):
            self.wait(13)
            assert self._takes_lease(f"delivery-{self.starts}")
        self.outbox.dies = dies
        self.stalled = False
        try:
            self.delivery.deliver_due(lambda: not self.stalled)
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

    @precondition(lambda self: self.store.list_incidents(1))
    @rule(which=st.integers(0, 4))
    def acknowledge(self, which: int) -> None:
        incidents = self.store.list_incidents(5)
        chosen = incidents[which % len(incidents)]
        possible = chosen.resolved_at is None and chosen.incident_id not in self.acknowledged
        controls = StoreControls(self.store, ROUTER, ScaleDownPolicy(), lambda: self.now)
        assert controls.acknowledge(chosen.incident_id, "web:ann") == possible
        if possible:
            self.acknowledged.add(chosen.incident_id)

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


IncidentMachine.TestCase.settings = effort(20, steps=25)
TestIncidents = IncidentMachine.TestCase
