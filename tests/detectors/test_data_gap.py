"""Lost telemetry: who has fallen silent while others were heard, and who has not."""

import pytest
from msgspec.structs import replace

from detectors.data_gap import DataGapDetector
from detectors.findings import Cause, Finding, Kind
from detectors.idle import IdleDetector
from tests.detectors.minutes import BUSY, NOON_S, Deed, Use, Watch, at, clearings, openings

OTHER = replace(BUSY, device="GPU-9", workload="prod/llm/other")
TRAFFIC = Use(requests=10.0)


def watch_of_two() -> Watch:
    """Two workloads that have reported every minute for half an hour."""
    watch = Watch(IdleDetector(), DataGapDetector())  # the idle detector keeps whose accelerators are whose
    assert watch.see(BUSY, OTHER, minutes=30) == []
    return watch


def test_a_workload_that_has_been_silent_for_a_quarter_of_an_hour_is_lost():
    watch = watch_of_two()
    assert watch.see(OTHER, minutes=15) == []
    assert watch.see(OTHER) == [
        Finding(
            kind=Kind.DATA_GAP,
            cause=Cause.TELEMETRY_LOST,
            at=at(46),
            began_at=at(30),
            workload="prod/llm/chat",
            team="llm",
            usd_per_hour=4.0,
            observed=960.0,
            expected=60.0,
            unit="s_between_reports",
            confidence=0.9,
            evidence={"silent_s": 960.0},
        )
    ]
    assert watch.see(OTHER, minutes=600) == []


def test_it_ends_when_the_workload_is_heard_again():
    watch = watch_of_two()
    watch.see(OTHER, minutes=40)
    assert watch.see(BUSY, OTHER) == [
        Finding(
            kind=Kind.DATA_GAP,
            cause=Cause.TELEMETRY_LOST,
            at=at(71),
            began_at=at(30),
            ended_at=at(71),
            workload="prod/llm/chat",
            team="llm",
            cleared=True,
            unit="s_between_reports",
            evidence={"silent_s": 2460.0},
        )
    ]


def test_it_is_given_up_after_a_day_and_said_anew_after_a_new_rhythm():
    watch = watch_of_two()
    findings = watch.see(OTHER, minutes=1500)
    assert [(one.at, one.cleared) for one in findings] == [(at(46), False), (at(1471), True)]
    watch.see(BUSY, OTHER, minutes=9)
    assert watch.see(OTHER, minutes=60) == []
    watch.see(BUSY, OTHER, minutes=10)
    assert len(openings(watch.see(OTHER, minutes=60))) == 1


def test_silence_of_everything_is_nobodys_loss_neither_then_nor_afterwards():
    watch = watch_of_two()
    assert watch.see(minutes=60) == []
    assert watch.see(OTHER, minutes=15) == []  # the other one is a little later
    assert watch.see(BUSY, OTHER, minutes=60) == []


def test_who_does_not_come_back_after_a_silence_of_everything_is_lost():
    watch = watch_of_two()
    watch.see(minutes=60)
    assert [(one.at, one.began_at) for one in watch.see(OTHER, minutes=30)] == [(at(107), at(30))]


def test_silence_of_everything_does_not_end_what_was_lost_before():
    watch = watch_of_two()
    watch.see(OTHER, minutes=20)
    assert watch.see(minutes=60) + watch.see(OTHER, minutes=60) == []
    assert [one.ended_at for one in clearings(watch.see(BUSY, OTHER))] == [at(171)]


def test_rare_reports_have_a_patience_of_their_own():
    watch = Watch(IdleDetector(), DataGapDetector())
    rare = replace(BUSY, span_s=3600.0)
    for _ in range(12):
        assert watch.see(OTHER, minutes=59) + watch.see(OTHER, rare) == []
    assert [one.at for one in watch.see(OTHER, minutes=240)] == [at(12 * 60 + 181)]


def test_a_fleet_that_reports_by_the_hour_is_not_deaf_between():
    watch = Watch(IdleDetector(), DataGapDetector())
    rare, other = replace(BUSY, span_s=3600.0), replace(OTHER, span_s=3600.0)
    for _ in range(12):
        assert watch.see(minutes=59) + watch.see(rare, other) == []
    findings = [one for _ in range(5) for one in watch.see(minutes=59) + watch.see(other)]
    assert [(one.workload, one.began_at) for one in openings(findings)] == [("prod/llm/chat", at(720))]


def test_a_workload_that_has_hardly_begun_has_no_rhythm():
    watch = Watch(IdleDetector(), DataGapDetector())
    watch.see(BUSY, OTHER, minutes=9)
    assert watch.see(OTHER, minutes=240) == []


def test_single_requests_have_no_rhythm():
    watch = Watch(IdleDetector(), DataGapDetector())
    watch.see(OTHER, Use(span_s=0.0, requests=1.0), minutes=60)
    assert watch.see(OTHER, minutes=240) == []


def test_lost_token_counters_are_a_loss_while_accelerators_report():
    watch = Watch(IdleDetector(), DataGapDetector())
    watch.see(BUSY, TRAFFIC, OTHER, minutes=30)
    findings = watch.see(BUSY, OTHER, minutes=60)
    assert [(one.workload, one.at, one.began_at) for one in findings] == [("prod/llm/chat", at(46), at(30))]


def test_accelerators_that_went_to_another_workload_are_not_lost():
    assert watch_of_two().see(OTHER, replace(BUSY, workload="prod/llm/batch"), minutes=240) == []


def test_accelerators_given_to_nobody_are_not_lost():
    watch = Watch(IdleDetector(), DataGapDetector())
    watch.see(OTHER, replace(BUSY, workload="prod//"), minutes=30)
    assert watch.see(OTHER, minutes=240) == []


@pytest.mark.parametrize(("kind", "said"), [("scale", 0), ("deploy", 1)])
def test_what_people_scaled_away_is_not_lost(kind: str, said: int):
    deed = Deed(at_s=NOON_S + 25 * 60, kind=kind, summary="8 to 0 replicas")
    assert len(watch_of_two().see(OTHER, deed, minutes=240)) == said
