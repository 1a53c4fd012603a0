"""`emberwatch explain`: every decision about an incident, with its reason."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import json as bodies
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from alerts.incidents import Severity
from alerts.notices import Outcome, Reason, Receipt
from alerts.reasons import HUSH_WORDS, Hush
from alerts.scale_down import ActionStep, Mode
from alerts.severity import SeverityPolicy
from alerts.severity_words import why_so_loud
from alerts.would_stop import Outcome as Judged
from alerts.would_stop import WouldStop
from console.cli import app
from detectors.findings import Cause, Kind
from store.facts import ChangeRow, Facts
from tests.console.commands.kept import CONFIG, IDLE, SPEND, kept, opened, waits
from tests.store.samples import CHAT, NOON, action, commit, incident, notice

RUN = CliRunner()
MINUTE = timedelta(minutes=1)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return kept(tmp_path)


def told_of(config: Path, *arguments: str) -> Result:
    return RUN.invoke(app, ["explain", *arguments, "--config", str(config)], env={"COLUMNS": "200"})


def story(config: Path, incident_id: str) -> list[tuple[str, str]]:
    lines = json.loads(told_of(config, incident_id, "--json").stdout)["story"]
    return [(line["what"], " / ".join(filter(None, (line["to"], line["by"], line["why"])))) for line in lines]


def test_the_way_of_an_incident_is_told_in_order_with_each_reason(tmp_path: Path):
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG % (tmp_path / "data") + "routes: [{match: ['kind=idle'], to: [book]}]\n")
    over = replace(
        IDLE, resolved_at=NOON + 300 * MINUTE, updated_at=NOON + 303 * MINUTE, transition=2,
        acknowledged_at=None,
    )  # fmt: skip
    louder = replace(IDLE, severity=Severity.PAGE, usd_per_hour=120.0, transition=1, updated_at=NOON + 40 * MINUTE)
    change = ChangeRow(event_id="c", at=NOON - 90 * MINUTE, workload=CHAT, kind="deploy", summary="v2\u202e")
    raised = notice(
        "n2", transition=1, step="updated", reason=Reason.SEVERITY_RAISED, at=NOON + 40 * MINUTE,
        body=bodies.encode(louder), channel="book",
    )  # fmt: skip
    store = opened(tmp_path)
    first = notice("n1", body=bodies.encode(IDLE), channel="book")
    commit(store, Facts(incidents=[over], changes=[change], notices=[first, raised]))
    store.settle_notice("n1", Receipt(outcome=Outcome.DELIVERED), NOON + MINUTE)
    store.settle_notice("n2", Receipt(outcome=Outcome.RETRY, detail="rate limited"), NOON, NOON + 60 * MINUTE)
    store.acknowledge("inc_a", "ana", NOON + 10 * MINUTE)
    store.save_action(action(ActionStep.PROPOSED, mode=Mode.OBSERVE, at=NOON + 5 * MINUTE, reason="idle_long_enough"))
    store.save_would_stops(
        [
            WouldStop(
                stop_id="act_a:1", action_id="act_a", incident_id="inc_a", workload=CHAT, team=None,
                at=NOON + 120 * MINUTE, usd_per_hour=8.1, outcome=Judged.QUIET, judged_at=NOON + 150 * MINUTE,
                held_back="gpu_limit",
            )
        ]
    )  # fmt: skip
    store.close()

    assert story(config, "inc_a") == [
        ("change", "deploy: v2"),
        ("began", "idle: no traffic"),
        ("detected", "1 h after it began, confidence 1.00"),
        ("opened", 'first time; warn: $8.10/h >= $0.50/h; route 1 {kind="idle"}: book'),
        ("told", "book / opened"),
        ("scale_down_proposed", "idle long enough"),
        ("acknowledged", "ana"),
        ("updated", 'severity raised; page: $120.00/h >= $100.00/h, confidence 1.00; route 1 {kind="idle"}: book'),
        ("waits_to_be_told", "book / updated: rate limited, again at 2026-03-02 13:00 UTC"),
        ("would_have_stopped", "mode auto would have stopped it, but for a limit (gpu limit): $8.10/h"),
        ("judged_quiet", "no work came within 30 minutes: nothing to regret"),
        ("ended", "the condition holds no longer"),
    ]


def test_what_nobody_was_told_of_says_why(config: Path, tmp_path: Path):
    quiet = replace(
        SPEND, incident_id="inc_q", fingerprint="q", severity=Severity.INFO, usd_per_hour=0.1, usd_so_far=0.2
    )
    store = opened(tmp_path)
    commit(store, Facts(incidents=[quiet]))
    store.close()

    (line,) = [why for what, why in story(config, "inc_q") if what == "told_to_nobody"]

    assert line == "info: $0.10/h < $0.50/h and $0.20 so far < $2.00; info_digest_only: nobody is told"


def test_every_reason_to_keep_quiet_has_its_words():
    assert set(HUSH_WORDS) == set(Hush)


def test_what_was_held_back_and_what_people_said_is_told(config: Path, tmp_path: Path):
    store = opened(tmp_path)
    store.enqueue([notice("n2", 1, step="updated", channel="book", body=bodies.encode(IDLE))])
    store.hush_notice("n2", Hush.BUDGET_SPENT, NOON + timedelta(minutes=3))
    store.snooze("inc_a", NOON + timedelta(days=400), "ana", NOON + timedelta(minutes=4))
    store.close()

    told = story(config, "inc_a")

    held = "book / updated; its owner was woken often enough; other channels were told"
    assert ("held_back", held) in told
    assert ("snoozed", "ana / done") in told


def test_people_get_a_table_below_what_it_costs(config: Path, tmp_path: Path):
    waits(tmp_path, "not_approved")

    result = told_of(config, "inc_a")

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0] == "$8.10/h wasted: 2 GPUs idle 1 h - prod/llm/chat (team search)"
    assert lines[3] == "AT (UTC) WHAT WHY"
    assert "2026-03-02 12:05:00 scale down waits because nobody has approved it yet" in lines


def test_an_unknown_incident_ends_with_1(config: Path):
    result = told_of(config, "inc_none")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("there is no incident 'inc_none'")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": Kind.DATA_GAP, "cause": Cause.POISON}, "a partition that is stopped always pages"),
        ({"kind": Kind.UNPRICED}, "unpriced always warns, and never pages"),
        ({"kind": Kind.BUDGET, "confidence": 0.93}, "how likely the budget breaks: 93 % >= 80 %"),
        (
            {"kind": Kind.BUDGET, "confidence": 0.5, "severity": Severity.INFO},
            "how likely the budget breaks: 50 % < 80 %",
        ),
        (
            {"kind": Kind.ANOMALY, "cause": Cause.LEVEL_STEP, "severity": Severity.INFO},
            "a step of the level next to a change that people made",
        ),
        ({"usd_per_hour": 0.1}, "$16.20 so far >= $2.00"),
        ({"usd_per_hour": 0.1, "usd_so_far": 0.1}, "by an earlier figure, or by another config: severity only rises"),
    ],
)
def test_each_severity_has_its_reason(fields, said):
    assert why_so_loud(SeverityPolicy(), incident(**fields)) == said
