"""What people read of an incident."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alerts.incidents import Incident, Severity
from alerts.messages import plain_text, sentence, slack_blocks, thread_line, title
from console.fakes.slack_rules import fault
from detectors.findings import Cause, Kind
from tests.alerts.samples import (
    ANOMALY,
    BUDGET,
    DATA_GAP,
    DRIFT,
    EVERY_KIND,
    IDLE,
    NOW,
    RECONCILIATION,
    UNPRICED,
    WASTE,
    resolved,
)

GOLDEN = Path(__file__).parent / "golden"
LINK = "https://emberwatch.example/incidents/1"

TITLES = {
    Kind.IDLE: "$16.00/h wasted: 4x NVIDIA H100 idle 47 min - prod-eu/llm-serving/llama70b (team search)",
    Kind.WASTE: "$8.00/h wasted: 2 GPUs not scaled back for 47 min - prod-eu/llm-serving/chat (team search)",
    Kind.ANOMALY: "$31.40/h above normal: prod/chat/api (team search), more tokens per request, for 47 min",
    Kind.DRIFT: "$3.20/h more than before: prod/search/embed (team search), slow growth over 12 d",
    Kind.BUDGET: (
        "$14,200 of $12,000 expected: budget team-search will break on Dec 14 (80 %: $13,100 to $15,600) (team search)"
    ),
    Kind.DATA_GAP: "$8.80/h not seen: prod-eu/llm-serving/llama70b (team search), telemetry lost for 47 min",
    Kind.UNPRICED: "No price: model frontier-9-preview of prod/chat/api, 1.2 M tokens (team search)",
    Kind.RECONCILIATION: ("$120.00 more billed than estimated: prod/search/embed (team search), $1,120 against $1,000"),
}
RESOLVED_TITLES = {
    Kind.IDLE: "$12.53 wasted, over now: 4x NVIDIA H100 idle 1 h 47 min - prod-eu/llm-serving/llama70b (team search)",
    Kind.WASTE: (
        "$6.27 wasted, over now: 2 GPUs not scaled back for 1 h 47 min - prod-eu/llm-serving/chat (team search)"
    ),
    Kind.ANOMALY: "$24.60 above normal, over now: prod/chat/api (team search), more tokens per request, 1 h 47 min",
    Kind.DRIFT: "$410.00 of drift, over now: prod/search/embed (team search), slow growth",
    Kind.BUDGET: "Budget team-search is safe again, $14,200 expected of $12,000 (team search)",
    Kind.DATA_GAP: "Telemetry is back: prod-eu/llm-serving/llama70b (team search), after 1 h 47 min",
    Kind.UNPRICED: "Priced now: model frontier-9-preview of prod/chat/api (team search)",
    Kind.RECONCILIATION: "Estimate and bill agree again: prod/search/embed (team search)",
}
SENTENCES = {
    Kind.IDLE: (
        "4x NVIDIA H100 of prod-eu/llm-serving/llama70b: memory is held and no work is done, for 47 min "
        "(idle 47 min, utilisation 0.4 %, power 71 W, tokens 0)."
    ),
    Kind.WASTE: (
        "2 GPUs of prod-eu/llm-serving/chat: the load that called for the scale-out has gone, and the replicas have "
        "stayed, for 47 min (replicas needed 2, replicas 4)."
    ),
    Kind.ANOMALY: (
        "prod/chat/api is at $41.60/h where its own past lets us expect $10.20/h, because of more tokens per request "
        "(tokens per request 5.2 k, usual tokens per request 1.2 k)."
    ),
    Kind.DRIFT: "prod/search/embed is at $9.60/h where its own past lets us expect $6.40/h, because of slow growth.",
    Kind.BUDGET: (
        "At the present pace the limit of $12,000 of budget team-search is reached on Dec 14 "
        "(80 %: $13,100 to $15,600) (spent $9,000, breach probability 93 %)."
    ),
    Kind.DATA_GAP: (
        "prod-eu/llm-serving/llama70b stopped sending and has not come back; nothing is known of it for 47 min "
        "(last seen 47 min)."
    ),
    Kind.UNPRICED: (
        "1.2 M tokens of model frontier-9-preview have no price in the price book or the shipped tables, so this "
        "spend is missing from every sum."
    ),
    Kind.RECONCILIATION: "$1,120 were billed for prod/search/embed and $1,000 estimated, 12 % off.",
}


def test_a_title_begins_with_the_money_or_the_thing() -> None:
    assert {i.kind: title(i) for i in EVERY_KIND} == TITLES


def test_a_resolved_title_says_that_it_is_over() -> None:
    assert {i.kind: title(resolved(i)) for i in EVERY_KIND} == RESOLVED_TITLES


def test_the_sentence_gives_the_reason_and_the_figures() -> None:
    assert {i.kind: sentence(i) for i in EVERY_KIND} == SENTENCES


@pytest.mark.parametrize("incident", EVERY_KIND, ids=lambda i: i.kind)
def test_the_slack_message_looks_as_agreed(incident: Incident) -> None:
    expected = json.loads((GOLDEN / f"{incident.kind}.json").read_text(encoding="utf-8"))
    assert slack_blocks(incident, link=LINK) == expected


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("incident", EVERY_KIND, ids=lambda i: i.kind)
def test_nothing_is_said_of_no_dollars(incident: Incident, over: bool) -> None:
    bare = replace(
        incident, usd_per_hour=0.0, usd_so_far=0.0, usd_if_ignored=None, observed=None, expected=None, evidence={}
    )
    bare = resolved(bare) if over else bare
    said = "\n".join((title(bare), plain_text(bare), json.dumps(slack_blocks(bare, link=None)), thread_line(bare)))
    assert "$0" not in said
    assert "None" not in said
    assert "nan" not in said


def test_each_cause_of_waste_has_its_words() -> None:
    said = {cause: title(replace(WASTE, cause=cause)).split(" - ")[0] for cause in Cause}
    assert {cause: words.removeprefix("$8.00/h wasted: 2 GPUs ") for cause, words in said.items()} == {
        **dict.fromkeys(Cause, "paid for without use for 47 min"),
        Cause.BUSY_NO_OUTPUT: "busy without output for 47 min",
        Cause.NO_TRAFFIC: "without traffic for 47 min",
        Cause.SCALE_OUT_NOT_REVERSED: "not scaled back for 47 min",
        Cause.MEMORY_HELD: "holding memory without work for 47 min",
        Cause.UNALLOCATED: "given to nobody for 47 min",
        Cause.UTILIZATION: "hardly used for 47 min",
        Cause.UNLIKE_PEERS: "lagging behind for 47 min",
    }


def test_spend_below_normal_is_said_as_such() -> None:
    fallen = replace(ANOMALY, observed=4.2, cause=Cause.REQUEST_RATE)
    assert title(fallen) == "$6.00/h below normal: prod/chat/api (team search), fewer requests, for 47 min"


def test_sinking_utilisation_is_told_in_percent() -> None:
    sunk = replace(DRIFT, cause=Cause.UTILIZATION, observed=0.2, expected=0.6, unit="ratio")
    assert title(sunk) == "$3.20/h badly used: utilisation 20 %, was 60 % - prod/search/embed (team search)"


def test_a_budget_that_is_broken_already_is_said_to_be() -> None:
    broken = replace(BUDGET, evidence={"spent_usd": 12400.0})
    assert title(broken) == "$12,400 spent of $12,000: budget team-search is broken (team search)"


def test_unallocated_accelerators_are_named_by_their_cluster() -> None:
    lost = replace(IDLE, workload="prod-eu//", cause=Cause.UNALLOCATED, team=None)
    assert title(lost) == "$16.00/h wasted: 4x NVIDIA H100 given to nobody for 47 min - prod-eu"


def test_an_acknowledged_incident_names_who_has_it() -> None:
    taken = replace(IDLE, acknowledged_at=NOW, acknowledged_by="ana")
    assert slack_blocks(taken, link=None)[0]["text"]["text"].startswith("👀 $16.00/h wasted")
    assert thread_line(taken) == "Acknowledged by ana at 2026-11-23 21:00 UTC."
    assert thread_line(resolved(taken)) == "Resolved after 1 h 47 min, $12.53 in all."
    assert thread_line(IDLE) == "Raised to page: $16.00/h now, $12.53 so far."


def test_plain_text_tells_the_whole_story() -> None:
    assert plain_text(IDLE, link=LINK) == "\n".join(
        (
            TITLES[Kind.IDLE],
            "",
            "Burning now: $16.00/h ($384.00/day)",
            "So far: $12.53 ($2,765 by month end)",
            "Observed / expected: 0.4 % / 5 %",
            "Since: 2026-11-23 20:13 UTC (47 min)",
            "Team: search",
            "Confidence: 97 %",
            "",
            f"Why: {SENTENCES[Kind.IDLE]}",
            "What changed: 20:05 deploy v41: image llama70b:2026-11-23",
            "",
            "inc_idle0000000000, idle / memory_held, price: book $4.00/h, data to 2026-11-23 21:00 UTC",
            LINK,
        )
    )


HOSTILE = "prod/<!channel>/`x`*b*_i_<https://evil.example|Approve>\u202etxt.exe\r\n&amp;"


@pytest.mark.parametrize("incident", EVERY_KIND, ids=lambda i: i.kind)
def test_names_from_outside_become_no_markup(incident: Incident) -> None:
    hostile = replace(
        incident,
        workload=HOSTILE,
        team="<!here> `t` <@U1>",
        model="<!everyone>",
        budget="<!channel>\u2066",
        changes=("<https://evil.example|click>\x07 *bold*",),
        acknowledged_at=NOW,
        acknowledged_by="<!subteam^S1>",
    )
    blocks = slack_blocks(hostile, link=LINK)
    assert fault({"text": "x", "blocks": blocks}) is None
    said = json.dumps(blocks, ensure_ascii=False)
    assert re.findall(r"<[^>]*>", said) == [f"<{LINK}|open>"]
    assert not set(said) & set("\u202e\u2066\x07\r\n")
    assert {"type": "mrkdwn", "text": "*Team*\n`&lt;!here&gt; ˋtˋ &lt;@U1&gt;`"} in blocks[1]["fields"]
    assert not set(plain_text(hostile)) & set("\u202e\u2066\x07\r")


_long = st.text(max_size=3000)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(Kind),
    cause=st.sampled_from(Cause),
    severity=st.sampled_from(Severity),
    name=st.text(alphabet=st.characters(exclude_characters="/"), max_size=600),
    team=_long,
    changes=st.lists(_long, max_size=5),
    evidence=st.dictionaries(st.text(max_size=80), st.floats(-1e12, 1e12), max_size=12),
    usd=st.floats(0, 1e9),
    seen=st.none() | st.floats(0, 1e12),
    unit=st.sampled_from(["usd_per_hour", "usd", "ratio", "tokens", "x"]),
    over=st.booleans(),
)
def test_any_incident_fits_into_slacks_limits(
    kind: Kind,
    cause: Cause,
    severity: Severity,
    name: str,
    team: str,
    changes: list[str],
    evidence: dict[str, float],
    usd: float,
    seen: float | None,
    unit: str,
    over: bool,
) -> None:
    incident = replace(
        IDLE,
        kind=kind,
        cause=cause,
        severity=severity,
        workload=f"a/b/{name}",
        team=team,
        model=team,
        budget=team,
        changes=tuple(changes),
        evidence=evidence,
        usd_per_hour=usd,
        usd_so_far=usd,
        observed=seen,
        expected=seen,
        unit=unit,
    )
    incident = resolved(incident, timedelta(days=3)) if over else incident
    blocks = slack_blocks(incident, link=LINK)
    assert fault({"text": title(incident), "blocks": blocks}) is None
    assert len(json.dumps(blocks, ensure_ascii=False)) < 10_000
    assert 0 < len(title(incident)) <= 150
    assert len(sentence(incident)) <= 600
    assert len(plain_text(incident, link=LINK)) <= 3500


def test_every_sample_is_of_its_own_kind() -> None:
    assert {i.kind for i in (IDLE, WASTE, ANOMALY, DRIFT, BUDGET, DATA_GAP, UNPRICED, RECONCILIATION)} == set(Kind)


def test_all_accelerators_are_counted_though_not_all_are_named():
    many = replace(IDLE, devices=tuple(f"GPU-{n}" for n in range(64)), evidence={"accelerators": 100.0})
    assert "100x NVIDIA H100" in title(many)


def test_an_idle_incident_says_what_is_used_of_what_is_paid_for() -> None:
    idle = replace(IDLE, observed=0.0, expected=16.0, unit="usd_per_hour_used", evidence={"families": 2.0})

    text = plain_text(idle)

    assert "Used: $0/h of $16.00/h paid for" in text.splitlines()
    assert "(kinds of evidence 2)" in text


def test_an_unpriced_incident_begins_with_the_estimate_and_names_no_zeros() -> None:
    unpriced = replace(
        UNPRICED, usd_per_hour=10.08, expected=0.0, evidence={"unpriced_gpu_s": 0.0, "estimated_usd": 4.0}
    )

    assert title(unpriced) == (
        "$10.08/h estimated, without a price: model frontier-9-preview of prod/chat/api, 1.2 M tokens (team search)"
    )
    assert sentence(unpriced).endswith("so this spend is missing from every sum (estimated $4.00).")
    assert "Without a price: 1.2 M tokens" in plain_text(unpriced).splitlines()
