"""The service dies in the middle of what it does once: a scale-down is carried out once, a digest is told once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.checker import slack_posts
from tests.faults.conftest import MakeEmbedded
from tests.faults.embedded import Embedded
from tests.faults.load import NOTEBOOK, Load
from tests.faults.recorders import Recorders, lines

DIGEST = "digest"
STEPS = ["warned", "proposed", "rechecked", "executed"]


def scale_down(recorded: Recorders, folder: Path) -> dict[str, object]:
    """A policy that acts by itself on what has been idle for twenty minutes, in a fleet of a dozen accelerators."""
    recorded.config(folder)
    return {
        "mode": "auto",
        "selector": ["kind=idle"],
        "target": recorded.target(folder),
        "warn_after": "12m",
        "propose_after": "15m",
        "act_after": "20m",
        "warning_lead": "0s",
        "max_gpu_ratio_per_hour": 1.0,
        "max_gpu_ratio_per_day": 1.0,
    }


def step_of(embedded: Embedded) -> str | None:
    """Where the one action stands."""
    actions = embedded.site.store().list_actions(10)
    return str(actions[0].step) if actions else None


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_between_any_two_steps_an_action_is_done_once_and_a_digest_told_once(
    make_embedded: MakeEmbedded, recorded: Recorders, tmp_path: Path, until: datetime
) -> None:
    today = datetime.now(UTC).strftime("%A").lower()
    embedded = make_embedded(
        f"sqlite:///{tmp_path}/emberwatch.db",
        Load(3, until, minutes=50, since=timedelta(days=8)),
        scale_down=scale_down(recorded, tmp_path),
        digest={"to": ["slack"], "day": today, "at": "00:00"},
        detection={"idle": {"after": "10m"}},
    )
    embedded.client.start()
    embedded.client.allow()

    in_digest = embedded.start("in_digest")
    embedded.dies(in_digest)
    embedded.forget_leases()
    assert not any(entry.notice.subject == DIGEST for entry in embedded.site.store().notices(200))

    for point, step in (
        ("action_warned", "warned"),
        ("action_proposed", "proposed"),
        ("action_rechecked", "rechecked"),
    ):
        dying = embedded.start(point, ready=False)
        embedded.dies(dying)
        embedded.forget_leases()
        assert step_of(embedded) == step
        assert lines(tmp_path / "receiver.jsonl") == []

    ordering = embedded.start("order_taken", ready=False)
    embedded.dies(ordering)
    embedded.forget_leases()
    assert step_of(embedded) == "executed"
    assert [line["answer"] for line in lines(tmp_path / "receiver.jsonl")] == [{"status": "taken"}]

    last = embedded.start()
    embedded.settle()
    assert embedded.breaches() == []
    orders = lines(tmp_path / "receiver.jsonl")
    assert [line["answer"]["status"] for line in orders] == ["taken", "already taken"]
    (action,) = embedded.site.store().list_actions(10)
    assert {line["webhook_id"] for line in orders} == {action.action_id}
    assert action.workload == NOTEBOOK
    assert [str(row.step) for row in embedded.site.store().action_steps(action.action_id)] == STEPS
    told = [post["notice_id"] for post in slack_posts(tmp_path) if post["notice_id"].startswith(DIGEST)]
    assert len(told) == 1
    assert last.terminate() == 0
