"""Charts as Vega-Lite specs: plain dicts, labelled with units, in colours that colour-blind people can tell apart.

A spec names no background and no text colour; whoever renders it chooses a light or a dark theme.
Moments are shown in UTC. Colours are those of Okabe and Ito.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.incidents import Incident
from alerts.wording import clean

Spec = dict[str, Any]
Point = tuple[datetime, float]

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
BLUE, ORANGE, VERMILION, GREY = "#2f8fd0", "#e69f00", "#e0641b", "#8a929c"
TEAM_COLOURS = ("#2f8fd0", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#e0641b", "#b5a82a")
MOST_TEAMS = len(TEAM_COLOURS)
OTHER = "other"
USD_AXIS = "$,.2~f"
LABEL = (  # the day at midnight, else the time on a 24-hour clock
    "utchours(datum.value) + utcminutes(datum.value) == 0"
    " ? utcFormat(datum.value, '%a %d %b') : utcFormat(datum.value, '%H:%M')"
)


def incident_chart(
    incident: Incident,
    series: Sequence[Point],
    expected: Sequence[Point] | None = None,
    *,
    width: int = 560,
    height: int = 180,
    compact: bool = False,
) -> Spec:
    """What the subject cost in USD per hour, what was expected, and the time in which the incident held.

    `series` and `expected` hold (moment, USD per hour); without `expected`, the incident's own figure
    is drawn as a line where its unit is usd_per_hour. `compact` leaves out what a list around it says already.
    """
    last = max([incident.updated_at, *(at for at, _ in series)])
    first = min([incident.began_at, *(at for at, _ in series)])
    ended_at = incident.resolved_at or last
    values = [{"at": _ms(at), "usd_per_hour": usd, "what": "actual"} for at, usd in series]
    if series:  # the latest step reaches to the end of the picture
        values.append({"at": _ms(last), "usd_per_hour": series[-1][1], "what": "actual"})
    if expected:
        values += [{"at": _ms(at), "usd_per_hour": usd, "what": "expected"} for at, usd in expected]
    elif incident.expected is not None and incident.unit == "usd_per_hour":
        values += [{"at": _ms(at), "usd_per_hour": incident.expected, "what": "expected"} for at in (first, last)]
    held = {"from": _ms(incident.began_at), "to": _ms(max(ended_at, incident.began_at + timedelta(minutes=1)))}
    style = _two_styles(*(("actual", "expected") if values and values[-1]["what"] == "expected" else ("actual",)))
    if compact:
        style = {name: channel | {"legend": None} for name, channel in style.items()}
    late = (incident.began_at - first) > 0.7 * (last - first)
    began = {"align": "right", "dx": -4} if late else {"align": "left", "dx": 4}
    subject = clean(incident.workload or incident.budget or incident.model or "the subject", 80)
    spec = _chart(
        f"Spend of {subject}",
        width,
        height,
        [
            {
                "data": {"values": [held]},
                "mark": {"type": "rect", "color": VERMILION, "opacity": 0.16},
                "encoding": {"x": _time("from"), "x2": {"field": "to"}},
            },
            {
                "data": {"values": [{"at": held["from"], "label": "began"}]},
                "mark": {"type": "rule", "color": VERMILION, "strokeWidth": 1.5},
                "encoding": {"x": _time("at")},
            },
            {
                "data": {"values": [{"at": held["from"], "label": "began"}]},
                "mark": {"type": "text", "dy": -3, "baseline": "bottom", **began},
                "encoding": {"x": _time("at"), "y": {"value": "height"}, "text": {"field": "label"}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2, "point": len(series) < 3},
                "encoding": {"x": _time("at"), "y": _usd("usd_per_hour", "USD per hour"), **style},
            },
        ],
    )
    if compact:
        del spec["title"], spec["layer"][2]
    return spec


def spend_chart(hours: Sequence[tuple[datetime, str, float]], *, width: int = 1060, height: int = 220) -> Spec:
    """What each hour cost in USD, stacked by team; `hours` holds (hour, team, USD). Small teams become `other`."""
    total: dict[str, float] = {}
    for _, team, usd in hours:
        total[team] = total.get(team, 0.0) + usd
    ranked = sorted(total, key=lambda team: (-total[team], team))
    kept = ranked if len(ranked) <= MOST_TEAMS else ranked[: MOST_TEAMS - 1]
    name = {team: clean(team, 40) if team in kept else OTHER for team in ranked}
    sums: dict[tuple[datetime, str], float] = {}
    for hour, team, usd in hours:
        key = (hour, name[team])
        sums[key] = sums.get(key, 0.0) + usd
    shown = list(dict.fromkeys(name[team] for team in ranked))
    values = [
        {"hour": _ms(hour), "team": team, "usd": usd, "order": shown.index(team)}
        for (hour, team), usd in sorted(sums.items())
    ]
    return _chart(
        "Spend of each hour by team",
        width,
        height,
        [
            {
                "data": {"values": values},
                "mark": {"type": "bar", "binSpacing": 1},
                "encoding": {
                    "x": _time("hour") | {"timeUnit": "utcyearmonthdatehours"},
                    "y": _usd("usd", "USD in the hour") | {"stack": "zero"},
                    "color": {
                        "field": "team",
                        "type": "nominal",
                        "scale": {
                            "domain": shown,
                            "range": [
                                GREY if team == OTHER else TEAM_COLOURS[place] for place, team in enumerate(shown)
                            ],
                        },
                        "legend": {"title": None, "orient": "top", "offset": 4, "columns": 7},
                    },
                    "order": {"field": "order"},
                },
            }
        ],
    )


def forecast_chart(
    actual: Sequence[Point],
    *,
    period_end: datetime,
    p10_usd: float | None = None,
    p50_usd: float | None = None,
    p90_usd: float | None = None,
    budget_usd: float | None = None,
    name: str = "",
    width: int = 560,
    height: int = 200,
) -> Spec:
    """Spend since the month began, the range in which it will probably end, and the budget, all in USD.

    `actual` holds (moment, USD spent since the month began); the quantiles are of the whole month.
    """
    layers: list[Spec] = []
    lines = [{"at": _ms(at), "usd": usd, "what": "spent"} for at, usd in actual]
    if actual and p50_usd is not None:
        at, spent = actual[-1]
        low, high = (p50_usd if p10_usd is None else p10_usd), (p50_usd if p90_usd is None else p90_usd)
        fan = [
            {"at": _ms(at), "low": spent, "high": spent},
            {"at": _ms(period_end), "low": max(spent, low), "high": max(spent, high)},
        ]
        layers.append(
            {
                "data": {"values": fan},
                "mark": {"type": "area", "color": BLUE, "opacity": 0.25},
                "encoding": {"x": _time("at"), "y": _usd("low", "USD this month"), "y2": {"field": "high"}},
            }
        )
        lines += [
            {"at": _ms(at), "usd": spent, "what": "forecast (shaded: 80 % range)"},
            {"at": _ms(period_end), "usd": max(spent, p50_usd), "what": "forecast (shaded: 80 % range)"},
        ]
    layers.append(
        {
            "data": {"values": lines},
            "mark": {"type": "line", "strokeWidth": 2, "point": len(actual) < 2},
            "encoding": {
                "x": _time("at"),
                "y": _usd("usd", "USD this month"),
                **_two_styles(*dict.fromkeys(str(line["what"]) for line in lines)),
            },
        }
    )
    if budget_usd is not None:
        line = {"usd": budget_usd, "label": f"budget ${budget_usd:,.0f}"}
        layers += [
            {
                "data": {"values": [line]},
                "mark": {"type": "rule", "color": VERMILION, "strokeWidth": 2, "strokeDash": [2, 3]},
                "encoding": {"y": _usd("usd", "USD this month")},
            },
            {
                "data": {"values": [line]},
                "mark": {"type": "text", "align": "left", "baseline": "top", "dx": 4, "dy": 4},
                "encoding": {"x": {"value": 0}, "y": _usd("usd", "USD this month"), "text": {"field": "label"}},
            },
        ]
    title = f"Month to date and forecast{': ' + clean(name, 80) if name else ''}"
    return _chart(title, width, height, layers)


def _chart(title: str, width: int, height: int, layers: list[Spec]) -> Spec:
    return {
        "$schema": SCHEMA,
        "description": title,
        "title": {"text": title, "anchor": "start", "fontSize": 13},
        "width": width,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "layer": layers,
    }


def _time(field: str) -> Spec:
    return {
        "field": field,
        "type": "temporal",
        "scale": {"type": "utc"},
        "axis": {"title": "UTC", "grid": False, "labelOverlap": True, "tickCount": 6, "labelExpr": LABEL},
    }


def _usd(field: str, title: str) -> Spec:
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"zero": True},
        "axis": {"title": title, "format": USD_AXIS, "tickCount": 4},
    }


def _two_styles(*names: str) -> Spec:
    """The first line solid and blue, the second dashed and grey."""
    domain, colours, dashes = list(names), [BLUE, GREY], [[1, 0], [5, 4]]
    return {
        "color": {
            "field": "what",
            "type": "nominal",
            "scale": {"domain": domain, "range": colours[: len(names)]},
            "legend": {"title": None, "orient": "top", "offset": 4},
        },
        "strokeDash": {
            "field": "what",
            "type": "nominal",
            "scale": {"domain": domain, "range": dashes[: len(names)]},
            "legend": {"title": None, "orient": "top", "offset": 4},
        },
    }


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


__all__ = ["Point", "Spec", "forecast_chart", "incident_chart", "spend_chart"]
