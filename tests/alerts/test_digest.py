from datetime import UTC, datetime, time, timedelta
from html.parser import HTMLParser

import pytest
from msgspec import json
from msgspec.structs import replace

from alerts.digest import (
    Actions,
    BudgetLine,
    Digest,
    IdleLine,
    KindLine,
    Outlook,
    Quality,
    Spend,
    compose,
    week_of,
)
from alerts.digest_html import html
from alerts.digest_notices import digest_notices
from alerts.digest_slack import blocks
from alerts.digest_text import text
from alerts.incidents import Incident, Severity
from alerts.scale_down import Action, ActionStep, Mode
from detectors.findings import Cause, Kind

WEEK = week_of(datetime(2026, 3, 2, 9, tzinfo=UTC), "UTC", "monday", time(9))
START, END = WEEK.start, WEEK.end
HOUR = timedelta(hours=1)


def incident(name: str, began: datetime, ended: datetime | None, **fields: object) -> Incident:
    values = {
        "incident_id": name,
        "fingerprint": name,
        "kind": Kind.IDLE,
        "cause": Cause.MEMORY_HELD,
        "severity": Severity.WARN,
        "began_at": began,
        "detected_at": began,
        "updated_at": ended or END,
        "resolved_at": ended,
        "workload": f"prod/llm/{name}",
        "team": "search",
        **fields,
    }
    return Incident(**values)


def action(name: str, step: ActionStep, mode: Mode, at: datetime, **fields: object) -> Action:
    return Action(
        action_id=f"act_{name}",
        incident_id=name,
        workload=f"prod/llm/{name}",
        team="search",
        mode=mode,
        step=step,
        at=at,
        usd_per_hour=10.0,
        replicas_from=1,
        **fields,
    )


def spend(name: str, team: str, this_usd: float, last_usd: float, ratio: float | None) -> Spend:
    return Spend(
        name=name,
        team=team,
        this_usd=this_usd,
        last_usd=last_usd,
        change_usd=this_usd - last_usd,
        change_ratio=ratio,
    )


@pytest.fixture
def digest() -> Digest:
    return compose(
        WEEK,
        this_week={("search", "prod/llm/chat"): 300.0, ("ads", "prod/ads/rank"): 90.0, (None, "prod//"): 10.0},
        last_week={("search", "prod/llm/chat"): 200.0, ("ads", "prod/ads/rank"): 120.0},
        incidents=[
            incident("a", START + HOUR, None, usd_so_far=40.0, usd_per_hour=4.0, devices=("g1", "g2")),
            incident("b", START - HOUR, START + HOUR, usd_so_far=20.0, acknowledged_at=START, cause=Cause.NO_TRAFFIC),
            incident("c", START - 3 * HOUR, START - HOUR, usd_so_far=99.0),
            incident("d", START + HOUR, START + 2 * HOUR, kind=Kind.ANOMALY, usd_so_far=7.0),
        ],
        actions=[
            action(
                "b",
                ActionStep.VERIFIED,
                Mode.AUTO,
                START + HOUR,
                warned_at=START,
                executed_at=END - 5 * HOUR,
            ),
            action("a", ActionStep.PROPOSED, Mode.OBSERVE, END - 2 * HOUR, proposed_at=END - 2 * HOUR),
            action("x", ActionStep.PROPOSED, Mode.PROPOSE, END - HOUR),
        ],
        outlook=(1500.0, 1600.0, 1800.0),
        forecasts=[("team-search", 900.0, 1100.0, 1300.0)],
        budgets=[("team-search", 1000.0, 700.0), ("team-ads", 100.0, 100.0)],
        quality=Quality(gaps=1, rejects=1200, unpriced_tokens=5000, late_usd=1.5),
    )


def test_a_week_in_figures(digest):
    assert digest == Digest(
        week=WEEK,
        total=spend("all", "", 400.0, 320.0, 0.25),
        wasted_usd=50.0,
        outlook=Outlook(p10_usd=1500.0, p50_usd=1600.0, p90_usd=1800.0),
        budgets=(
            BudgetLine(
                name="team-search",
                usd_per_month=1000.0,
                spent_usd=700.0,
                p10_usd=900.0,
                p50_usd=1100.0,
                p90_usd=1300.0,
            ),
            BudgetLine(name="team-ads", usd_per_month=100.0, spent_usd=100.0),
        ),
        teams=(
            spend("search", "search", 300.0, 200.0, 0.5),
            spend("ads", "ads", 90.0, 120.0, -0.25),
            spend("no team", "no team", 10.0, 0.0, None),
        ),
        movers=(
            spend("prod/llm/chat", "search", 300.0, 200.0, 0.5),
            spend("prod/ads/rank", "ads", 90.0, 120.0, -0.25),
            spend("prod//", "no team", 10.0, 0.0, None),
        ),
        idle=(
            IdleLine(
                incident_id="a",
                workload="prod/llm/a",
                team="search",
                cause="memory held",
                gpus=2,
                usd=40.0,
                usd_per_hour=4.0,
                open=True,
            ),
            IdleLine(
                incident_id="b",
                workload="prod/llm/b",
                team="search",
                cause="no traffic",
                gpus=0,
                usd=10.0,
                usd_per_hour=0.0,
                open=False,
            ),
        ),
        incidents=(
            KindLine(kind="idle", incidents=2, acknowledged=1, acted_on=1, resolved=1, open=1, usd=50.0),
            KindLine(kind="anomaly", incidents=1, acknowledged=0, acted_on=0, resolved=1, open=0, usd=7.0),
        ),
        actions=Actions(observed=1, waiting=1, verified=1, saved_usd=50.0, would_have_saved_usd=20.0),
        quality=Quality(gaps=1, rejects=1200, unpriced_tokens=5000, late_usd=1.5),
        to_do=(
            "Stop or explain what is idle still: 1 workload, $4.00/h.",
            "Budget team-search: will break, $700 of $1,000 spent.",
            "Budget team-ads: broken, $100 of $100 spent.",
            "Answer 1 proposal to scale down.",
            "Give a price to 5,000 tokens that have none: they are not in these sums.",
        ),
    )


def test_the_text_reads_like_this(digest):
    assert (
        text(digest)
        == """\
$400 spent in 2026-W09 (+25 % on the week before), $50.00 wasted
23 Feb to 1 Mar 2026 (UTC)

To do
  Stop or explain what is idle still: 1 workload, $4.00/h.
  Budget team-search: will break, $700 of $1,000 spent.
  Budget team-ads: broken, $100 of $100 spent.
  Answer 1 proposal to scale down.
  Give a price to 5,000 tokens that have none: they are not in these sums.

Spend
  This week    $400
  Week before  $320 (+25 %)
  Wasted       $50.00
  Whole month  $1,600 expected (80 %: $1,500 to $1,800)

Budgets
  team-search  $700 of $1,000 spent, $1,100 (80 %: $900 to $1,300) expected: will break
  team-ads     $100 of $100 spent: broken

Teams
  search   $300 (+50 %)
  ads      $90.00 (-25 %)
  no team  $10.00 (new)

Top movers
  prod/llm/chat  +$100 (+50 %), search
  prod/ads/rank  -$30.00 (-25 %), ads
  prod//         +$10.00 (new), no team

Top idle
  prod/llm/a  $40.00 (2 GPUs, memory held, still idle at $4.00/h), search
  prod/llm/b  $10.00 (no traffic, over now), search

Incidents
  idle     2 (1 acknowledged, 1 acted on, 1 resolved, 1 open), $50.00
  anomaly  1 (1 resolved), $7.00

Actions
  $50.00 saved: 1 scaled down, 1 waiting for an answer.
  $20.00 would have been saved in mode auto (1 only observed).

Data quality
  1 gap in the telemetry, 1,200 events set aside, 5,000 tokens without a price, late data: +$1.50.
"""
    )


def test_a_quiet_week_says_plainly_that_there_is_nothing_to_do():
    quiet = compose(WEEK, this_week={}, last_week={})

    assert quiet.to_do == ()
    assert (
        text(quiet)
        == """\
$0.00 spent in 2026-W09, $0.00 wasted
23 Feb to 1 Mar 2026 (UTC)

To do
  Nothing to do.

Spend
  This week    $0.00
  Week before  $0.00
  Wasted       $0.00

Teams
  No spend.

Top movers
  No workload's spend has changed.

Top idle
  Nothing was idle.

Incidents
  No incidents.

Actions
  Nothing was scaled down, and nothing would have been.

Data quality
  No gaps, nothing set aside, everything priced.
"""
    )


def test_an_incident_that_ended_after_the_week_was_open_in_it_and_pays_its_share():
    later = incident("a", END - HOUR, END + 3 * HOUR, usd_so_far=40.0)

    digest = compose(WEEK, this_week={}, last_week={}, incidents=[later])

    assert [(line.usd, line.open) for line in digest.idle] == [(10.0, True)]


def test_an_undone_action_saved_until_it_was_undone_and_an_observed_one_until_it_was_busy():
    at = START + 10 * HOUR
    digest = compose(
        WEEK,
        this_week={},
        last_week={},
        actions=[
            action("u", ActionStep.UNDONE, Mode.AUTO, at, executed_at=at - 3 * HOUR),
            action("k", ActionStep.KEPT, Mode.OBSERVE, at, proposed_at=at - 2 * HOUR),
            action("w", ActionStep.WARNED, Mode.OBSERVE, at),
            action("later", ActionStep.VERIFIED, Mode.AUTO, END + HOUR, warned_at=END),
        ],
    )

    assert digest.actions == Actions(undone=1, observed=1, saved_usd=30.0, would_have_saved_usd=20.0)


class Tags(HTMLParser):
    """Collects the tags, the words and the addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data):
        self.words += data


def crowded() -> Digest:
    nasty = "<script>alert(1)</script>&\"'*`" + "x" * 600
    return compose(
        WEEK,
        this_week={(f"{nasty}{n}", f"prod/llm/{nasty}{n}"): 1e9 + n for n in range(200)},
        last_week={},
        incidents=[incident(f"{nasty}{n}", START, None, usd_so_far=1e6) for n in range(200)],
        budgets=[(f"{n}{nasty}", 1.0, 2.0) for n in range(40)],
    )


@pytest.mark.parametrize("crowd", [False, True])
def test_the_mail_is_small_escaped_and_fetches_nothing(digest, crowd):
    page = html(crowded() if crowd else digest)
    seen = Tags(page)

    assert len(page.encode()) < 80_000
    assert seen.tags == {"html", "head", "meta", "title", "style", "body", "table", "tr", "td", "h1", "h2", "p"}
    assert not {"src", "href", "onclick"} & seen.attributes
    assert "prefers-color-scheme: dark" in page


def test_the_mail_says_what_the_text_says(digest):
    words = Tags(html(digest)).words

    for line in text(digest).splitlines():
        for part in line.strip().split("  "):
            assert part.strip() in words


def test_slack_shows_every_section_within_its_limits(digest):
    assert blocks(digest)[0]["text"]["text"] == digest.title
    assert blocks(digest)[2] == {
        "type": "section",
        "text": {
            "type": "mrkdwn",
            "text": "*To do*\n"
            "• Stop or explain what is idle still: 1 workload, $4.00/h.\n"
            "• Budget team-search: will break, $700 of $1,000 spent.\n"
            "• Budget team-ads: broken, $100 of $100 spent.\n"
            "• Answer 1 proposal to scale down.\n"
            "• Give a price to 5,000 tokens that have none: they are not in these sums.",
        },
    }
    for made in (blocks(digest), blocks(crowded())):
        texts = [block["text"]["text"] for block in made if "text" in block]
        assert len(made) <= 50
        assert len(texts[0]) <= 150
        assert all(len(said) <= 3000 for said in texts)
        assert not any("<" in said or ">" in said for said in texts)
        assert sum(map(len, texts)) < 13_000


def test_each_channel_gets_the_week_once_in_every_form(digest):
    notices = digest_notices(digest, ["mail", "slack", "mail"])

    assert [notice.notice_id for notice in notices] == ["digest:2026-W09:mail", "digest:2026-W09:slack"]
    assert (notices[0].title, notices[0].at, notices[0].step) == (digest.title, WEEK.due_at, "digest")
    body = json.decode(notices[0].body)
    assert sorted(body) == ["blocks", "digest", "html", "text", "title"]
    assert json.decode(json.encode(body["digest"]), type=Digest) == digest
    assert digest_notices(digest, ["mail"]) == digest_notices(replace(digest), ["mail"])
