"""`emberwatch demo` as a process: an idle incident, a scale-down that a person approves."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from alerts.scale_down import ActionStep
from console.exits import ExitCode
from store.store import Store
from tests.console.processes import Running
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

WITHIN_S = 240.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Running]:
    (port,) = free_ports(1)
    running = Running(
        tmp_path / "out", "demo", "--port", str(port), "--data-dir", str(tmp_path / "data"), COLUMNS="160"
    )
    yield running
    running.kill()


@contextmanager
def browser(demo: Running) -> Iterator[httpx.Client]:
    """Logged in, as by a click on the address that was printed."""
    found = re.search(r"Console: (http://\S+)/\?token=(\S+)", demo.out)
    assert found is not None
    with httpx.Client(base_url=found[1], follow_redirects=True, timeout=60) as client:
        landed = client.get("/", params={"token": found[2]})
        assert landed.status_code == 200, landed.text
        yield client


def approve(client: httpx.Client) -> None:
    """Press the button of the one proposal."""
    page = client.get("/actions").text
    form = re.search(
        r'action="(?P<to>/actions/\w+/approve)">.*?name="csrf" value="(?P<csrf>\w+)">'
        r'.*?name="transition" value="(?P<transition>\d+)"',
        page,
    )
    assert form is not None
    values = {name: form[name] for name in ("csrf", "transition")}
    answer = client.post(form["to"], data=values, headers={"origin": str(client.base_url).rstrip("/")})
    assert answer.status_code == 200, answer.text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_idle_notebook_is_told_stopped_by_a_person_and_proved(demo: Running, tmp_path: Path):
    demo.wait_for("Console: ", WITHIN_S)
    demo.wait_for("$32.00/h wasted: 8x NVIDIA H100 80GB HBM3 idle", WITHIN_S)
    demo.wait_for("$32.00/h can be saved: research/vision/notebook-ana", WITHIN_S)
    store = Store.open(f"sqlite:///{tmp_path / 'data' / 'emberwatch.db'}")
    with browser(demo) as client:
        approve(client)
    proved = wait_until(lambda: store.list_actions(1)[0].step in (ActionStep.VERIFIED, ActionStep.FAILED), WITHIN_S)
    (action,) = store.list_actions(10)
    steps = [row.step for row in store.action_steps(action.action_id)]
    store.close()
    demo.wait_for("$32.00/h saved, seen in the telemetry: research/vision/notebook-ana", WITHIN_S)
    code = demo.stop()

    assert proved, steps
    assert steps == ["warned", "proposed", "approved", "rechecked", "executed", "verified"]
    assert code == ExitCode.OK
    assert demo.out.endswith("Ended. Your own fleet: emberwatch run --config emberwatch.yaml\n")
    assert demo.err == ""
    lines = [line.strip("│ ") for line in demo.out.splitlines()]
    titles = [lines[place + 1] for place, line in enumerate(lines) if line.startswith("╭─ Slack")]
    assert [title for title in titles if not re.match(r"\S+ (\$\d|No price: )", title)] == []


def test_a_demo_that_is_stopped_at_once_ends_cleanly(demo: Running):
    demo.wait_for("A made-up fleet is coming up", WITHIN_S)

    code = demo.stop()

    assert code in (ExitCode.OK, ExitCode.INTERRUPTED)
    assert "Traceback" not in demo.err
