from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from alerts.hindsight import KindSums, Message, WeekSums, most_within, sums_of, week_label
from alerts.incidents import Severity
from alerts.policy_comparison import Judged, compare, since
from alerts.regret import Regret
from detectors.findings import Kind
from tests.alerts.test_scale_down import INCIDENT, minute

HOUR = timedelta(hours=1)
IDLE = replace(INCIDENT, usd_so_far=20.0, resolved_at=minute(120))
PAGE = replace(IDLE, incident_id="inc_p", kind=Kind.ANOMALY, severity=Severity.PAGE, usd_so_far=100.0)
INFO = replace(IDLE, incident_id="inc_i", workload="a/b/c", severity=Severity.INFO, usd_so_far=1.5)
BUDGET = replace(IDLE, incident_id="inc_b", kind=Kind.BUDGET, workload=None, budget="all", usd_so_far=900.0)
CHEAPER = replace(PAGE, incident_id="inc_c", severity=Severity.WARN, workload="a/b/d", usd_so_far=-50.0)


def test_alerts_are_summed_by_kind_and_week_and_dollars_count_where_they_are_gone():
    told = [Message(channel="costs", at=minute(30)), Message(channel="costs", at=minute(60 * 24 * 7))]

    assert sums_of("p", [IDLE, PAGE, INFO, BUDGET, CHEAPER], told, []) == sums_of(
        "p", [CHEAPER, BUDGET, INFO, PAGE, IDLE], told, []
    )
    sums = sums_of("p", [IDLE, PAGE, INFO, BUDGET, CHEAPER], told, [])
    assert (sums.incidents, sums.alerts, sums.pages, sums.most_pages_in_12_h) == (5, 4, 1, 1)
    assert (sums.caught_usd, sums.recorded_usd, sums.messages, sums.regret) == (120.0, 1.5, {"costs": 2}, Regret())
    assert sums.kinds == (
        KindSums(kind="idle", incidents=2, alerts=1, pages=0, usd=20.0),
        KindSums(kind="anomaly", incidents=2, alerts=2, pages=1, usd=100.0),
        KindSums(kind="budget", incidents=1, alerts=1, pages=0, usd=900.0),
    )
    assert sums.weeks == (
        WeekSums(week="2026-W10", alerts={"anomaly": 2, "budget": 1, "idle": 1}, pages=1, messages=1, usd=120.0),
        WeekSums(week="2026-W11", alerts={}, pages=0, messages=1, usd=0.0),
    )


def test_weeks_are_iso_weeks_in_utc():
    assert week_label(datetime(2026, 12, 31, 23, tzinfo=UTC)) == "2026-W53"
    assert week_label(datetime.fromisoformat("2027-01-04T00:30:00+01:00")) == "2026-W53"


def test_the_most_pages_of_any_half_day():
    moments = [minute(0), minute(60), minute(700), minute(720), minute(2000)]

    assert [most_within(moments, 12 * HOUR), most_within([], HOUR)] == [3, 0]


def test_an_alert_without_its_like_is_missed_or_gained():
    later = replace(IDLE, incident_id="inc_l", began_at=minute(300), detected_at=minute(330), resolved_at=minute(400))
    current = Judged(name="current", incidents=[IDLE, PAGE, later])
    new = Judged(name="new", incidents=[replace(IDLE, incident_id="inc_o", severity=Severity.INFO), PAGE, BUDGET])

    told = compare(new, current)

    assert [(one.subject, one.detected_at, one.usd, one.other) for one in told.missed] == [
        ("prod/llm/chat", IDLE.detected_at, 20.0, "recorded only"),
        ("prod/llm/chat", later.detected_at, 20.0, "not found"),
    ]
    assert told.missed_usd == 40.0
    assert [(one.kind, one.subject, one.usd) for one in told.gained] == [("budget", "all", 0.0)]
    assert compare(current, current).missed == ()


def test_what_comes_before_the_start_only_teaches():
    judged = Judged(name="x", incidents=[IDLE], messages=[Message(channel="costs", at=minute(31))])

    assert since(judged, None) is judged
    assert since(judged, minute(31)).incidents == []
    assert since(judged, minute(31)).messages == judged.messages
