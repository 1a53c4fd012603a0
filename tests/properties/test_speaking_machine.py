"""What is said and what is held back, through silences, snoozes, presses, crashes and outages: a stateful model."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from alerts.incidents import Severity, Step
from alerts.matching import Matcher
from alerts.notices import Reason
from alerts.silences import silence
from store.outbox import State
from store.store import Store
from tests.streams.test_speaking import HOUR, MINUTE, Talk, idle
from tests.support.hypothesis_profiles import effort

NAMES = ("a", "b", "c", "d")
TEAMS = ("search", "chat")


class SpeakingMachine(RuleBasedStateMachine):
    """The rules are what happens; the invariants are what people rely on."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.store = Store.open(f"sqlite:///{Path(self.folder.name)}/store.db")
        self.talk = Talk(self.store)
        self.open = {}
        self.count = 0
        self.silenced_until = dict.fromkeys(TEAMS, self.talk.now)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(name=st.sampled_from(NAMES), team=st.sampled_from(TEAMS), loud=st.booleans())
    def opens(self, name: str, team: str, loud: bool) -> None:
        if name in self.open:
            return
        self.count += 1
        one = idle(
            f"{name}{self.count}",
            fingerprint=f"idle|{name}",
            team=team,
            severity=Severity.PAGE if loud else Severity.WARN,
            began_at=self.talk.now,
            detected_at=self.talk.now,
            updated_at=self.talk.now,
        )
        self.open[name] = one
        self.talk.happen(one)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def grows(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        was = self.open[name]
        one = replace(was, transition=was.transition + 1, usd_so_far=2 * was.usd_so_far, updated_at=self.talk.now)
        self.open[name] = one
        self.talk.happen(one, step=Step.UPDATED, reason=Reason.DOLLARS_DOUBLED)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def ends(self, data: st.DataObject) -> None:
        self.talk.over(self.open.pop(data.draw(st.sampled_from(sorted(self.open)))))

    @rule(team=st.sampled_from(TEAMS), minutes=st.integers(1, 90))
    def is_silenced(self, team: str, minutes: int) -> None:
        now = self.talk.now
        until = now + minutes * MINUTE
        self.store.add_silence(
            silence([Matcher.parse(f"team={team}")], starts_at=now, ends_at=until, by="ana", now=now)
        )
        self.silenced_until[team] = max(self.silenced_until[team], until)
        self.talk.restart()  # silences are read again after two seconds; the model knows them at once

    @precondition(lambda self: self.open)
    @rule(data=st.data(), minutes=st.integers(1, 90))
    def is_snoozed(self, data: st.DataObject, minutes: int) -> None:
        one = self.open[data.draw(st.sampled_from(sorted(self.open)))]
        self.store.snooze(one.incident_id, self.talk.now + minutes * MINUTE, "ana", self.talk.now)

    @rule(away=st.booleans())
    def slack_goes_or_comes(self, away: bool) -> None:
        self.talk.channels["slack"].away = away

    @rule()
    def crashes(self) -> None:
        self.talk.restart()

    @rule(minutes=st.integers(1, 40))
    def time_passes(self, minutes: int) -> None:
        before = {name: len(channel.heard) for name, channel in self.talk.channels.items()}
        began = self.talk.now
        self.talk.wait(minutes * MINUTE, every=MINUTE)
        for name, channel in self.talk.channels.items():
            for at, notice in channel.heard[before[name] :]:
                if notice.subject == "incident" and notice.step in (Step.OPENED, Step.UPDATED):
                    team = b"search" if b'"team":"search"' in notice.body else b"chat"
                    assert at >= self.silenced_until[team.decode()] or at < began

    @invariant()
    def nothing_is_said_twice(self) -> None:
        if hasattr(self, "talk"):
            said = Counter(notice.notice_id for one in self.talk.channels.values() for _, notice in one.heard)
            assert not [name for name, times in said.items() if times > 1]

    @invariant()
    def what_is_held_back_has_its_reason_and_what_has_none_was_said_or_waits(self) -> None:
        if hasattr(self, "store"):
            for row in self.store.notices(10_000):
                assert (row.state is State.HUSHED) == (row.hushed is not None)

    @rule()
    def all_is_well_again_and_everything_is_settled(self) -> None:
        self.talk.channels["slack"].away = False
        self.talk.wait(2 * HOUR, every=10 * MINUTE)
        assert self.store.pending_counts() == {}
        told = {notice.subject_id for _, notice in self.talk.channels["slack"].heard}
        quiet = {one.incident_id for one in self.open.values() if one.incident_id not in told}
        for incident_id in quiet:  # it is held back for a reason that holds, or waits for none
            found = self.store.incident(incident_id)
            held = self.store.told("slack", incident_id)
            assert held.hushed is not None
            assert self.silenced_until[found.team] > self.talk.now or found.snoozed_until is not None or held.summed


SpeakingMachine.TestCase.settings = effort(6, steps=12)
TestSpeaking = SpeakingMachine.TestCase
