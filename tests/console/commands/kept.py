"""A config and a store with an open incident, its action and what was said: what the commands' tests look at."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import json

from alerts.incidents import Severity
from alerts.scale_down import ActionStep, Mode
from detectors.findings import Cause, Kind
from store.facts import Facts, LedgerRow
from store.store import Store
from tests.store.samples import HOUR, NOON, action, commit, incident, ledger_row, notice

IDLE = incident()
SPEND = incident(
    incident_id="inc_b",
    fingerprint="anomaly|prod/chat/api||",
    kind=Kind.ANOMALY,
    cause=Cause.REQUEST_RATE,
    severity=Severity.PAGE,
    workload="prod/chat/api",
    team="chat",
    devices=(),
    usd_per_hour=120.0,
    usd_so_far=360.0,
    evidence={"record_usd_per_hour": 20.0},
    changes=(),
)
OVER = incident(
    incident_id="inc_c",
    fingerprint="idle|prod/old/job||",
    workload="prod/old/job",
    team=None,
    resolved_at=NOON,
    usd_per_hour=0.0,
    usd_so_far=4.0,
)
CONFIG = """\
channels: [{type: recorder, name: book}]
digest: {to: [book]}
store: {data_dir: %s}
"""


def kept(folder: Path) -> Path:
    """Write config and store; return the config's path."""
    config = folder / "c.yaml"
    config.write_text(CONFIG % (folder / "data"))
    with_spend(folder, NOON)
    store = opened(folder)
    told = [notice("n1", body=json.encode(IDLE), channel="book")]
    commit(store, Facts(incidents=[IDLE, SPEND, OVER], notices=told))
    proposed = action(ActionStep.PROPOSED, mode=Mode.PROPOSE, at=NOON + timedelta(minutes=5))
    store.save_action(proposed)
    store.close()
    return config


def with_spend(folder: Path, hour: datetime) -> None:
    """Four dollars in each of two hours, to two teams."""
    store = opened(folder)
    rows: list[LedgerRow] = [
        ledger_row(hour=hour.astimezone(UTC)),
        ledger_row(hour=hour.astimezone(UTC) + HOUR, workload="prod/chat/api", team="chat"),
    ]
    commit(store, Facts(ledger=rows))
    store.close()


def opened(folder: Path) -> Store:
    """The store of the config."""
    return Store.open(f"sqlite:///{folder / 'data' / 'emberwatch.db'}")


def waits(folder: Path, reason: str) -> None:
    """The action takes no step, for this reason."""
    store = opened(folder)
    proposed = store.action("act_a")
    assert proposed is not None
    store.note_waiting(proposed, reason)
    store.close()
