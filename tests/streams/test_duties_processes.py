"""Two processes and one lease, on both databases: a dead or stopped holder is replaced at the first try after its lease
has run out, which is within 15 s, and says nothing more that another has taken over.
"""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.store import Store
from streams.duties import TTL_S
from tests.store.samples import notice
from tests.support.waiting import wait_until

TAKE_OVER_S = 15.0
TRIES_EVERY_S = 0.5
WITHIN_S = 240.0
ROOT = Path(__file__).parents[2]

CHILD = textwrap.dedent(
    """
    import os, signal, sys
    from datetime import UTC, datetime, time
    from threading import Event

    from alerts.incidents import SeverityPolicy
    from alerts.notices import Outcome, Receipt
    from alerts.scale_down import ScaleDownPolicy
    from store.store import Store
    from streams.delivery import Delivery
    from streams.digest_duty import DigestDuty
    from streams.duties import Duties
    from streams.forecast_duty import ForecastDuty
    from streams.metrics import Metrics
    from streams.scale_down_duty import ScaleDownDuty
    from tests.streams.events import router

    url, name, path = sys.argv[1:]
    store = Store.open(url)

    class Noting:
        \"\"\"Notes every try for the lease, and what came of it.\"\"\"

        def __getattr__(self, name):
            return getattr(store, name)

        def acquire_lease(self, lease, owner, now, ttl_s):
            held = store.acquire_lease(lease, owner, now, ttl_s)
            with open(path + ".tries", "a") as file:
                file.write(f"{name} {'held' if held else 'refused'} {now.timestamp()}\\n")
            return held

    class Stopping:
        \"\"\"Stops the process between the claim of one certain notice and its sending.\"\"\"

        def __getattr__(self, name):
            return getattr(store, name)

        def claim_notices(self, *given):
            claimed = store.claim_notices(*given)
            if any(one.notice.notice_id == "stop" for one in claimed) and name == "first":
                os.kill(os.getpid(), signal.SIGSTOP)
            return claimed

    class ToFile:
        name = "slack"

        def send(self, notice, reference=None):
            with open(path, "a") as file:
                file.write(f"{name} {notice.notice_id} {now().timestamp()}\\n")
            return Receipt(outcome=Outcome.DELIVERED)

        def find(self, notice, reference=None):
            return Receipt(outcome=Outcome.RETRY)

    def now():
        return datetime.now(UTC)

    duties = Duties(
        Noting(),
        delivery=Delivery(Stopping(), {"slack": ToFile()}, now, name),
        forecasts=ForecastDuty(store, budgets=(), severity=SeverityPolicy(), router=router(), owner=name),
        scale_down=ScaleDownDuty(store, ScaleDownPolicy(), router()),
        digest=DigestDuty(store, budgets=(), channels=(), day="monday", at=time(9), timezone="UTC"),
        metrics=Metrics("test"),
        owner=name,
        clock=now,
    )
    duties.run(Event())
    """
)


class Sent:
    """What was sent, by whom and when."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> list[tuple[str, str, float]]:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [(who, what, float(at)) for who, what, at in map(str.split, lines)]

    def wait_for(self, what: str) -> tuple[str, float]:
        assert wait_until(lambda: any(one[1] == what for one in self()), WITHIN_S, every_s=0.05), self()
        return next((who, at) for who, sent, at in self() if sent == what)


@contextlib.contextmanager
def process(url: str, name: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, name, str(path)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        yield made
    finally:
        made.kill()
        made.wait()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stopped_and_a_killed_holder_are_replaced_in_time_and_nothing_is_sent_twice(url: str, tmp_path: Path) -> None:
    store, sent, tries = Store.open(url), Sent(tmp_path / "sent"), Sent(tmp_path / "sent.tries")

    def put(name: str) -> None:
        store.enqueue([notice(name, subject_id=name, at=datetime.now(UTC))])

    put("before")
    with process(url, "first", tmp_path / "sent") as first:
        assert sent.wait_for("before")[0] == "first"
        with process(url, "second", tmp_path / "sent") as second:
            assert wait_until(lambda: any(who == "second" for who, _, _ in tries()), WITHIN_S)
            put("stop")
            assert wait_until(lambda: stopped(first.pid), WITHIN_S, every_s=0.01)
            put("while")
            assert sent.wait_for("while")[0] == "second"

            os.kill(first.pid, signal.SIGCONT)
            assert sent.wait_for("stop")[0] == "second"
            assert wait_until(lambda: tries()[-1][:2] == ("first", "refused"), WITHIN_S, every_s=0.01)

            second.kill()
            put("after")
            assert sent.wait_for("after")[0] == "first"
    store.close()

    assert TTL_S + 2 * TRIES_EVERY_S < TAKE_OVER_S
    assert_each_is_replaced_at_the_first_try_after_its_lease(tries())
    assert sorted(what for _, what, _ in sent()) == ["after", "before", "stop", "while"]


def assert_each_is_replaced_at_the_first_try_after_its_lease(tries: list[tuple[str, str, float]]) -> None:
    """By the times that the processes gave: how long they take to come to a try is not the lease's matter."""
    holder, until, holders = "", 0.0, []
    for who, came, at in tries:
        assert (came == "held") == (who == holder or at >= until), (who, came, at, holder, until)
        if came == "held":
            holders += [who] if who != holder else []
            holder, until = who, at + TTL_S
    assert holders == ["first", "second", "first"]


def stopped(process_id: int) -> bool:
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "T"
