from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from alerts.incidents import Incident, Severity
from alerts.scale_down import Why
from detectors.findings import Cause, Kind
from streams.metrics import Metrics

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def lines_of(metrics: Metrics, name: str) -> list[str]:
    text = generate_latest(metrics.registry).decode()
    return [line for line in text.splitlines() if line.startswith(name) and "_created" not in line]


def open_incident(number: int, severity: Severity) -> Incident:
    return Incident(
        incident_id=f"inc_{number}",
        fingerprint=str(number),
        kind=Kind.IDLE,
        cause=Cause.NO_TRAFFIC,
        severity=severity,
        began_at=NOON,
        detected_at=NOON,
        updated_at=NOON,
    )


def test_counts_appear_under_their_documented_names():
    metrics = Metrics("1.2.3")
    metrics.consumed("gpu.samples", 3)
    metrics.decoded("gpu_sample", 7)
    metrics.rejected("future")
    metrics.watermark(2, NOON)
    metrics.event_time_lag(4.0)
    metrics.committed(0.02)
    metrics.notified("slack", "delivered")
    metrics.unpriced("gpt-x", 1000)
    metrics.decided(Why.GPU_LIMIT)

    for line in (
        'emberwatch_records_consumed_total{topic="gpu.samples"} 3.0',
        'emberwatch_events_total{type="gpu_sample"} 7.0',
        'emberwatch_records_rejected_total{reason="future"} 1.0',
        'emberwatch_watermark_timestamp_seconds{partition="2"} 1.7955216e+09',
        'emberwatch_event_time_lag_seconds_bucket{le="5.0"} 1.0',
        'emberwatch_commit_seconds_bucket{le="0.025"} 1.0',
        'emberwatch_notifications_total{channel="slack",outcome="delivered"} 1.0',
        'emberwatch_unpriced_tokens_total{model="gpt-x"} 1000.0',
        'emberwatch_scale_down_decisions_total{reason="gpu_limit"} 1.0',
        'emberwatch_build_info{version="1.2.3"} 1.0',
    ):
        assert line in lines_of(metrics, line.partition("{")[0]), line


def test_a_gauge_forgets_what_is_no_more():
    metrics = Metrics()
    metrics.incidents_open([open_incident(1, Severity.PAGE), open_incident(2, Severity.PAGE)])
    assert lines_of(metrics, "emberwatch_incidents_open") == [
        'emberwatch_incidents_open{kind="idle",severity="page"} 2.0'
    ]

    metrics.incidents_open([open_incident(3, Severity.WARN)])
    assert lines_of(metrics, "emberwatch_incidents_open") == [
        'emberwatch_incidents_open{kind="idle",severity="warn"} 1.0'
    ]


def test_ten_thousand_teams_are_201_series_and_no_dollar_is_lost():
    metrics = Metrics()
    metrics.spend({f"team-{n}": 1.0 for n in range(10_000)} | {None: 50.0}, {None: 2.0})

    lines = lines_of(metrics, "emberwatch_spend_usd_per_hour")
    assert len(lines) == 201
    assert 'emberwatch_spend_usd_per_hour{team="none"} 50.0' in lines
    assert 'emberwatch_spend_usd_per_hour{team="other"} 9801.0' in lines
    assert lines_of(metrics, "emberwatch_gpu_idle_usd_per_hour") == [
        'emberwatch_gpu_idle_usd_per_hour{team="none"} 2.0'
    ]


def test_models_from_outside_can_not_flood_the_registry():
    metrics = Metrics(registry=CollectorRegistry())
    for number in range(1000):
        metrics.unpriced(f"model-{number}", 1)

    lines = lines_of(metrics, "emberwatch_unpriced_tokens_total")
    assert len(lines) == 201
    assert 'emberwatch_unpriced_tokens_total{model="other"} 800.0' in lines


@pytest.mark.parametrize(("by", "shown"), [("breaker", [1.0, 0.0]), ("ann", [0.0, 1.0]), (None, [0.0, 0.0])])
def test_who_has_stopped_all_actions_is_shown_without_a_name(by, shown):
    metrics = Metrics()
    metrics.actions_paused("breaker")
    metrics.actions_paused(by)

    read = metrics.registry.get_sample_value
    assert [read("emberwatch_actions_paused", {"by": who}) for who in ("breaker", "person")] == shown
