from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from alerts.incidents import (
    Book,
    Incident,
    Severity,
    SeverityPolicy,
    SnapshotUnreadable,
    Spoken,
    Step,
    Transition,
    incident_id,
)
from alerts.reasons import Reason
from detectors.findings import Cause, Finding, Kind

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRINT = "idle|prod/llm/chat||"


def minute(n: float) -> datetime:
    return NOON + timedelta(minutes=n)


def idle(at: float, *, began: float = 0, **figures: object) -> Finding:
    stated = {"usd_per_hour": 4.0, "usd_so_far": 2.0, **figures}
    return Finding(
        kind=Kind.IDLE,
        cause=Cause.MEMORY_HELD,
        at=minute(at),
        began_at=minute(began),
        workload="prod/llm/chat",
        team="search",
        **stated,
    )


def book() -> Book:
    return Book(SeverityPolicy())


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_figure_that_is_no_number_is_left_out_so_that_the_incident_can_be_read_back(wrong):
    book_ = book()
    names = ("usd_per_hour", "usd_so_far", "usd_if_ignored", "observed", "expected", "confidence")
    book_.apply(idle(30, evidence={"power_w": wrong, "idle_s": 1800.0}, **dict.fromkeys(names, wrong)))

    (incident,) = book_.open

    assert json.decode(json.encode(incident), type=Incident) == incident
    assert (incident.usd_per_hour, incident.usd_if_ignored, incident.evidence) == (0.0, None, {"idle_s": 1800.0})


def test_the_first_finding_opens_an_incident_with_everything_it_says():
    found = idle(
        30,
        devices=("GPU-1",),
        usd_if_ignored=90.0,
        observed=0.01,
        expected=0.5,
        unit="util_ratio",
        confidence=0.8,
        evidence={"idle_s": 1800.0},
        changes=("deploy",),
    )

    transition = book().apply(found)

    assert transition == Transition(
        incident=Incident(
            incident_id=incident_id(PRINT, NOON),
            fingerprint=PRINT,
            kind=Kind.IDLE,
            cause=Cause.MEMORY_HELD,
            severity=Severity.WARN,
            began_at=NOON,
            detected_at=minute(30),
            updated_at=minute(30),
            workload="prod/llm/chat",
            team="search",
            devices=("GPU-1",),
            usd_per_hour=4.0,
            usd_so_far=2.0,
            usd_if_ignored=90.0,
            observed=0.01,
            expected=0.5,
            unit="util_ratio",
            confidence=0.8,
            evidence={"idle_s": 1800.0},
            changes=("deploy",),
        ),
        step=Step.OPENED,
        reason=Reason.FIRST_TIME,
    )


def test_later_findings_update_the_figures_without_a_word():
    kept = book()
    opened = kept.apply(idle(30)).incident
    kept.drain()

    assert kept.apply(idle(31, usd_so_far=2.1, began=5)) is None
    assert kept.open == [replace(opened, updated_at=minute(31), usd_so_far=2.1)]
    assert kept.drain() == kept.open


def test_dollars_that_double_since_the_last_message_are_said_and_small_ones_are_not():
    kept = book()
    said = [kept.apply(idle(30 + n, usd_so_far=usd)) for n, usd in enumerate([2.0, 5.0, 9.9, 10.0, 19.9, 20.0, 21.0])]

    assert [(t.step, t.reason, t.incident.usd_so_far, t.incident.transition) for t in said if t] == [
        (Step.OPENED, Reason.FIRST_TIME, 2.0, 0),
        (Step.UPDATED, Reason.DOLLARS_DOUBLED, 10.0, 1),
        (Step.UPDATED, Reason.DOLLARS_DOUBLED, 20.0, 2),
    ]


def test_a_rise_in_severity_is_said_and_a_fall_is_not_seen():
    kept = book()
    kept.apply(idle(30))
    raised = kept.apply(idle(31, usd_per_hour=200.0))
    fallen = kept.apply(idle(32, usd_per_hour=0.0))

    assert (raised.step, raised.reason, raised.incident.severity) == (
        Step.UPDATED,
        Reason.SEVERITY_RAISED,
        Severity.PAGE,
    )
    assert raised.spoken == (Spoken(Severity.WARN, Cause.MEMORY_HELD, "search"),)
    assert fallen is None
    assert kept.open[0].severity is Severity.PAGE


def test_info_is_not_repeated_when_its_dollars_double():
    kept = Book(SeverityPolicy(warn_usd=1e6, warn_usd_per_hour=1e6))
    kept.apply(idle(30))

    assert kept.apply(idle(31, usd_so_far=50.0)) is None


def test_a_cause_once_known_is_not_lost_to_unknown():
    kept = book()
    kept.apply(replace(idle(30), cause=Cause.UNKNOWN))
    kept.apply(replace(idle(31), cause=Cause.NO_TRAFFIC))
    kept.apply(replace(idle(32), cause=Cause.UNKNOWN))

    assert kept.open[0].cause is Cause.NO_TRAFFIC


def test_clearing_resolves_with_its_figures_and_keeps_those_it_does_not_state():
    kept = book()
    opened = kept.apply(idle(30, evidence={"power_w": 70.0}, observed=0.01)).incident

    resolved = kept.apply(idle(40, cleared=True, usd_per_hour=0.0, usd_so_far=2.7))

    assert resolved == Transition(
        incident=replace(opened, updated_at=minute(40), resolved_at=minute(40), usd_so_far=2.7, transition=1),
        step=Step.RESOLVED,
        reason=Reason.RESOLVED,
        spoken=(Spoken(Severity.WARN, Cause.MEMORY_HELD, "search"),),
    )
    assert kept.open == []
    assert kept.drain() == [resolved.incident]
    assert kept.drain() == []


def test_clearing_what_is_not_open_is_ignored():
    kept = book()

    assert kept.apply(idle(30, cleared=True)) is None
    assert kept.drain() == []


def test_a_new_beginning_after_the_end_is_a_new_incident():
    kept = book()
    first = kept.apply(idle(30)).incident
    kept.apply(idle(40, cleared=True))

    second = kept.apply(idle(90, began=60)).incident

    assert second.incident_id == incident_id(PRINT, minute(60)) != first.incident_id
    assert [one.incident_id for one in kept.drain()] == [first.incident_id, second.incident_id]


def test_what_comes_back_within_the_hour_reopens_and_names_the_one_before():
    book_ = book()
    first = book_.apply(idle(30))
    book_.apply(idle(40, cleared=True))
    book_ = Book.from_bytes(book_.to_bytes(), SeverityPolicy())
    again = book_.apply(idle(70, began=60))
    book_.apply(idle(80, cleared=True))
    later = book_.apply(idle(141, began=130))

    assert (again.reason, again.incident.reopens, again.incident.ended_before_at) == (
        Reason.REOPENED,
        first.incident.incident_id,
        minute(40),
    )
    assert (later.reason, later.incident.reopens) == (Reason.FIRST_TIME, None)


def test_the_same_beginning_after_the_end_does_not_reopen_the_resolved_incident():
    kept = book()
    first = kept.apply(idle(30)).incident
    kept.apply(idle(40, cleared=True))

    second = kept.apply(idle(41)).incident
    kept.apply(idle(42, cleared=True))
    third = kept.apply(idle(43)).incident

    assert [one.incident_id for one in (first, second, third)] == [
        incident_id(PRINT, NOON),
        incident_id(PRINT, minute(41)),
        incident_id(PRINT, minute(43)),
    ]
    assert second.began_at == NOON


def test_findings_not_later_than_the_end_reopen_nothing():
    kept = book()
    kept.apply(idle(30))
    kept.apply(idle(40, cleared=True))

    assert kept.apply(idle(39)) is None
    assert kept.apply(idle(40)) is None
    assert kept.open == []


def test_late_findings_do_not_overwrite_newer_figures():
    kept = book()
    kept.apply(idle(30))
    kept.apply(idle(32, usd_so_far=3.0))
    kept.apply(idle(31, usd_so_far=2.5))
    kept.apply(idle(31, cleared=True))

    assert [one.usd_so_far for one in kept.open] == [3.0]


def test_memory_of_endings_is_bounded_and_a_forgotten_one_still_keeps_its_id():
    kept = Book(SeverityPolicy(), endings_remembered=1)
    first = kept.apply(idle(30)).incident
    kept.apply(idle(40, cleared=True))
    other = replace(idle(50), workload="prod/llm/other")
    kept.apply(other)
    kept.apply(replace(other, at=minute(51), cleared=True))  # the first ending is forgotten here

    again = kept.apply(idle(60)).incident

    assert again.incident_id == incident_id(PRINT, minute(60)) != first.incident_id


def test_bytes_of_another_version_are_refused_in_words():
    with pytest.raises(SnapshotUnreadable, match="can't be decoded"):
        Book.from_bytes(b"\xc1", SeverityPolicy())
    with pytest.raises(SnapshotUnreadable, match="has version 99"):
        Book.from_bytes(b"\x81\xa7version\x63", SeverityPolicy())


findings = st.builds(
    lambda workload, at, length, cleared, rate, dollars, cause: Finding(
        kind=Kind.IDLE,
        cause=cause,
        at=minute(at),
        began_at=minute(at - length),
        workload=workload,
        cleared=cleared,
        usd_per_hour=rate,
        usd_so_far=dollars,
    ),
    st.sampled_from(["a/b/c", "a/b/d"]),
    st.integers(0, 30),
    st.integers(0, 10),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 200.0]),
    st.floats(0, 5000),
    st.sampled_from([Cause.MEMORY_HELD, Cause.UNKNOWN, Cause.NO_TRAFFIC]),
)


@settings(deadline=None)
@given(st.lists(findings, max_size=40), st.data())
def test_a_restart_in_the_middle_changes_nothing(stream, data):
    cut = data.draw(st.integers(0, len(stream)))
    crash = data.draw(st.integers(cut, len(stream)))
    straight = book()
    expected = [straight.apply(one) for one in stream]

    before = book()
    said = [before.apply(one) for one in stream[:cut]]
    snapshot = before.to_bytes()
    lost = [before.apply(one) for one in stream[cut:crash]]
    after = Book.from_bytes(snapshot, SeverityPolicy())
    said += [after.apply(one) for one in stream[cut:]]  # those between the cut and the crash are applied twice

    assert said == expected
    assert lost == expected[cut:crash]
    assert after.open == straight.open
    assert after.drain() == straight.drain()
    assert after.to_bytes() == straight.to_bytes()


@settings(deadline=None)
@given(st.lists(findings, max_size=40, unique_by=lambda one: (one.workload, one.at)))
def test_the_same_findings_in_order_a_second_time_change_no_incident(stream):
    stream = sorted(stream, key=lambda one: one.at)
    kept = book()
    for one in stream:
        kept.apply(one)
    incidents = {one.incident_id: one for one in kept.drain()}

    again = Book.from_bytes(kept.to_bytes(), SeverityPolicy())
    assert [again.apply(one) for one in stream] == [None] * len(stream)
    assert all(incidents[one.incident_id] == one for one in again.drain())


@settings(deadline=None)
@given(st.lists(findings, max_size=60))
def test_no_two_incidents_share_an_id_and_ends_lie_after_beginnings(stream):
    kept = book()
    opened = [t.incident.incident_id for one in stream if (t := kept.apply(one)) and t.step is Step.OPENED]

    assert len(set(opened)) == len(opened)
    assert all(one.resolved_at is None or one.resolved_at >= one.began_at for one in kept.drain())
