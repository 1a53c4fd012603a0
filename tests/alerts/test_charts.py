from datetime import UTC, datetime, timedelta

import vl_convert

from alerts.charts import forecast_chart, incident_chart, spend_chart
from alerts.incidents import Incident, Severity
from detectors.findings import Cause, Kind

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOON_MS = 1795521600000
HOUR_MS = 3600000
SPIKE = Incident(
    incident_id="inc_spike",
    fingerprint="anomaly|prod/llm/chat||",
    kind=Kind.ANOMALY,
    cause=Cause.REQUEST_RATE,
    severity=Severity.PAGE,
    began_at=NOON,
    detected_at=NOON + HOUR / 2,
    updated_at=NOON + HOUR,
    workload="prod/llm/chat",
    expected=4.0,
)


def values_of(layer):
    return layer["data"]["values"]


def test_incident_chart_shows_actual_expected_and_how_long_it_has_held():
    spec = incident_chart(SPIKE, [(NOON - HOUR, 4.0), (NOON, 9.0)])

    held, began, _, lines = spec["layer"]
    assert spec["title"]["text"] == "Spend of prod/llm/chat"
    assert values_of(held) == [{"from": NOON_MS, "to": NOON_MS + HOUR_MS}]
    assert values_of(began) == [{"at": NOON_MS, "label": "began"}]
    assert values_of(lines) == [
        {"at": NOON_MS - HOUR_MS, "usd_per_hour": 4.0, "what": "actual"},
        {"at": NOON_MS, "usd_per_hour": 9.0, "what": "actual"},
        {"at": NOON_MS + HOUR_MS, "usd_per_hour": 9.0, "what": "actual"},
        {"at": NOON_MS - HOUR_MS, "usd_per_hour": 4.0, "what": "expected"},
        {"at": NOON_MS + HOUR_MS, "usd_per_hour": 4.0, "what": "expected"},
    ]
    assert lines["encoding"]["y"]["axis"]["title"] == "USD per hour"


def test_spend_chart_keeps_the_largest_teams_and_no_dollar_is_lost():
    hours = [(NOON, f"team-{n}", float(n)) for n in range(1, 11)]

    (bars,) = spend_chart(hours)["layer"]

    shown = {bar["team"]: bar["usd"] for bar in values_of(bars)}
    assert shown == {"team-10": 10, "team-9": 9, "team-8": 8, "team-7": 7, "team-6": 6, "team-5": 5, "other": 10}


def test_forecast_chart_never_ends_below_what_is_spent():
    spec = forecast_chart(
        [(NOON - HOUR, 90.0), (NOON, 100.0)],
        period_end=NOON + HOUR,
        p10_usd=80.0,
        p50_usd=120.0,
        p90_usd=150.0,
        budget_usd=130.0,
    )

    fan, lines, budget, _ = spec["layer"]
    assert values_of(fan) == [
        {"at": NOON_MS, "low": 100.0, "high": 100.0},
        {"at": NOON_MS + HOUR_MS, "low": 100.0, "high": 150.0},
    ]
    assert values_of(lines)[-1] == {"at": NOON_MS + HOUR_MS, "usd": 120.0, "what": "forecast (shaded: 80 % range)"}
    assert values_of(budget) == [{"usd": 130.0, "label": "budget $130"}]


def test_every_chart_can_be_drawn_offline_and_bears_no_script():
    name = "prod/<script>alert(1)</script>/\u202ex"
    hostile = Incident(
        **{field: getattr(SPIKE, field) for field in SPIKE.__struct_fields__} | {"workload": name, "expected": None}
    )
    for spec in (
        incident_chart(hostile, []),
        incident_chart(SPIKE, [(NOON, 1.0)], [(NOON, 2.0)], compact=True),
        spend_chart([]),
        spend_chart([(NOON, name, 1.0)]),
        forecast_chart([], period_end=NOON),
    ):
        svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
        assert svg.startswith("<svg")
        assert "<script" not in svg
        assert "\u202e" not in svg
