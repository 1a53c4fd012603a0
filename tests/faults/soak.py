"""`make soak`: random faults at a steady load on a real Kafka and a real database, the checker after each of them.

Every round kills the worker at a random point at least once, besides its own fault. What a round does depends on the
seed and its number alone: `--first-round` goes on from there.

Ends with 0 where every invariant held after every round, with 1 where one did not, with 2 where a server can't be had.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic

from tests.e2e.site import Process, usage_of
from tests.faults.load import Load
from tests.faults.recorders import recorders
from tests.faults.streamed import INSTANCE, STOP_S, WITHIN_S, Streamed
from tests.support.kafka_broker import KafkaBroker
from tests.support.kafka_jars import java, kafka_jars
from tests.support.missing import CannotBeHad
from tests.support.postgres import Databases, PostgresCluster, server_programs
from tests.support.tcp_proxy import PIECE_BYTES, TcpProxy
from tests.support.waiting import wait_until

ROUND_MINUTES = 5  # of event time
FAULT_S = 8.0  # about as long as the load of a round takes
STORES = ("postgresql", "sqlite")
FAILPOINTS = ["before_commit", "in_commit", "after_commit:2", "dead_letters_written", "notice_claimed", "notice_sent"]


@dataclass(frozen=True)
class Round:
    """What came of one fault."""

    number: int
    fault: str
    took_s: float  # until the checker found nothing wrong
    wrong: list[str]
    rss_mib: float
    at_s: float


class Soak:
    """One installation, and the faults that are done to it."""

    def __init__(self, streamed: Streamed, broker: KafkaBroker, proxy: TcpProxy, random: Random) -> None:
        self.streamed, self.broker, self.proxy, self.random = streamed, broker, proxy, random
        self.kills = 0
        self.worker: Process = streamed.ready()
        self.faults: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "failpoint": self.failpoint,
            "sigterm": self.sigterm,
            "freeze": self.freeze,
            "freeze_in_commit": self.freeze_in_commit,
            "storm": self.storm,
            "broker_stop": self.broker_stop,
            "broker_kill": self.broker_kill,
            "slow": self.slow,
            "half_open": self.half_open,
            "reset": self.reset,
        }

    def round(self, number: int, fault: str, began_s: float, random: Random) -> Round:
        """One fault under load, a kill where it was none, and what the checker says when the load is through."""
        self.random = random
        self.streamed.feed_next(ROUND_MINUTES, FAULT_S / ROUND_MINUTES)
        self.wait(self.random.uniform(0.0, 3.0))
        failed: list[str] = []
        try:
            self.faults[fault]()
            if fault != "kill":
                self.wait(self.random.uniform(0.0, 2.0))
                self.kill(once=True)
        except (AssertionError, subprocess.TimeoutExpired, CannotBeHad) as error:
            failed = [f"I6: {str(error)[:300] or repr(error)}"]
            self.end_all()
            self.begin_again()
        self.streamed.feed.every_s = 0.0
        at_s = monotonic()
        wrong = [*failed, *self.wrong()]
        peak_mib = usage_of(self.worker)[1] if self.worker.popen.poll() is None else 0.0
        return Round(number, fault, monotonic() - at_s, wrong, peak_mib, monotonic() - began_s)

    def wrong(self) -> list[str]:
        """What does not hold once all is sent, read and told, or its time is over."""
        feed = self.streamed.feed
        feed.join(WITHIN_S)
        if feed.sent != len(feed.pieces):
            return [f"the load could not be sent: {feed.sent} of {len(feed.pieces)} minutes"]
        site = self.streamed.site
        ends = site.ends()
        if not wait_until(lambda: site.read() == ends, WITHIN_S):
            return [f"I1: read {site.read()} of {ends}"]
        if not wait_until(self.worker.ready, WITHIN_S):
            return [f"I6: the worker is not ready again: {self.worker.checks()}"]
        wait_until(lambda: not self.streamed.breaches(), WITHIN_S, every_s=0.3)
        return self.streamed.breaches()

    def wait(self, seconds: float) -> None:
        """Let the load flow on."""
        wait_until(lambda: False, seconds)

    def begin_again(self) -> None:
        """Everything has died: start one worker."""
        self.streamed.forget_leases()
        self.worker = self.streamed.site.worker(INSTANCE)

    def end_all(self) -> None:
        """A fault went wrong midway: whatever still runs is killed, so that the next round begins as any other."""
        for process in self.streamed.site.started:
            if process.popen.poll() is None:
                process.kill()

    def kill(self, *, once: bool = False) -> None:
        """SIGKILL, once or a few times in a row, while it starts or works."""
        for _ in range(1 if once else self.random.randint(1, 3)):
            self.worker.kill()
            self.kills += 1
            self.begin_again()
            self.wait(self.random.uniform(0.0, 4.0))

    def failpoint(self) -> None:
        """A death at a named boundary; where that is not reached, a SIGKILL."""
        self.worker.kill()
        self.streamed.forget_leases()
        self.worker = self.streamed.site.worker(INSTANCE, self.random.choice(FAILPOINTS))
        if not wait_until(lambda: self.worker.popen.poll() is not None, 15.0):
            self.worker.kill()
        self.begin_again()

    def sigterm(self) -> None:
        """An orderly end under load, within ten seconds."""
        code = self.worker.terminate(within_s=STOP_S)
        assert code in (0, -signal.SIGTERM), f"ended with {code}"
        self.begin_again()

    def freeze(self) -> None:
        """SIGSTOP for less than its session, or for a little more."""
        self.worker.popen.send_signal(signal.SIGSTOP)
        self.wait(self.random.uniform(1.0, 13.0))
        self.worker.popen.send_signal(signal.SIGCONT)

    def freeze_in_commit(self) -> None:
        """One that freezes in a commit has an heir, and wakes up. In SQLite it holds up all other writers meanwhile."""
        self.worker.kill()
        self.streamed.forget_leases()
        frozen = self.streamed.site.worker(failpoint=f"in_commit:{self.random.randint(1, 3)}:stop")
        wait_until(lambda: frozen.said() != [] and _is_stopped(frozen), 60.0)
        others: list[Process] = []
        if self.streamed.engine.dialect.name == "postgresql":
            others.append(self.streamed.site.worker())
            assert wait_until(others[0].ready, WITHIN_S), self.streamed.site.tails()
        else:
            self.wait(self.random.uniform(0.0, 12.0))
        frozen.popen.send_signal(signal.SIGCONT)
        self.wait(2.0)
        for one in (frozen, *others):
            if one.popen.poll() is None:
                one.terminate(within_s=STOP_S)
        self.begin_again()

    def storm(self) -> None:
        """Workers that come and go, every few seconds."""
        others = [self.streamed.site.worker()]
        for _ in range(3):
            self.wait(self.random.uniform(1.5, 4.0))
            others.append(self.streamed.site.worker())
            gone = others.pop(0)
            if self.random.random() < 0.5:
                gone.kill()
            else:
                gone.terminate(within_s=STOP_S)
        for one in (*others, self.worker):
            one.terminate(within_s=STOP_S)
        self.begin_again()

    def broker_stop(self) -> None:
        """The broker is stopped and started."""
        self.broker.stop()
        self.wait(self.random.uniform(0.0, 3.0))
        self.broker.start()

    def broker_kill(self) -> None:
        """The broker is killed and started."""
        self.broker.kill()
        self.broker.start()

    def slow(self) -> None:
        """Latency, and small pieces."""
        self.proxy.latency_s, self.proxy.piece_bytes = self.random.uniform(0.05, 1.0), 500
        self.wait(6.0)
        self.proxy.latency_s, self.proxy.piece_bytes = 0.0, PIECE_BYTES

    def half_open(self) -> None:
        """Connections that stand, and through which nothing comes."""
        self.proxy.freeze()
        self.wait(self.random.uniform(1.0, 12.0))
        self.proxy.thaw()

    def reset(self) -> None:
        """Connections that break, several times."""
        for _ in range(3):
            self.proxy.reset()
            self.wait(self.random.uniform(0.0, 2.0))


def _is_stopped(process: Process) -> bool:
    stat = Path(f"/proc/{process.popen.pid}/stat")
    return stat.read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def installed(folder: Path, store: str, load: Load) -> Iterator[tuple[Streamed, KafkaBroker, TcpProxy]]:
    """Servers, stand-ins and a site, as long as the block lasts. Raises CannotBeHad."""
    with ExitStack() as stack:
        java()
        broker = KafkaBroker(folder / "kafka", kafka_jars())
        proxy = stack.enter_context(TcpProxy(broker.port))
        broker.advertised = proxy.address
        stack.callback(broker.stop)
        broker.start()
        url = f"sqlite:///{folder}/emberwatch.db"
        if store == "postgresql":
            cluster = PostgresCluster(server_programs())
            stack.callback(cluster.remove)
            cluster.start()
            url = Databases(cluster.url.render_as_string(hide_password=False)).create()
        asked = stack.enter_context(recorders(folder))
        streamed = Streamed(folder, proxy.address, url, asked, load, at_once=False)
        stack.callback(streamed.close)
        yield streamed, broker, proxy


def slope_mib_per_hour(points: list[tuple[float, float]]) -> float:
    """The least-squares slope of memory over time; points are (seconds, MiB)."""
    mean_s = sum(at for at, _ in points) / len(points)
    mean_mib = sum(mib for _, mib in points) / len(points)
    spread = sum((at - mean_s) ** 2 for at, _ in points)
    return 3600.0 * sum((at - mean_s) * (mib - mean_mib) for at, mib in points) / spread if spread else 0.0


def shown(rounds: list[Round], compared: list[str]) -> str:
    """The table of results."""
    rows = ["fault               rounds  held  back again, median  and worst"]
    for fault in sorted({one.fault for one in rounds}):
        own = [one for one in rounds if one.fault == fault]
        held, times = sum(not one.wrong for one in own), [one.took_s for one in own]
        rows.append(f"{fault:<20}{len(own):>6}{held:>6}{median(times):>18.1f} s{max(times):>9.1f} s")
    rows.append(f"memory of the worker: {slope_mib_per_hour([(one.at_s, one.rss_mib) for one in rounds]):+.1f} MiB/h")
    rows.append(f"the end against a run without faults: {'the same' if not compared else 'DIFFERENT'}")
    rows += [f"round {one.number} ({one.fault}): {wrong}" for one in rounds for wrong in one.wrong]
    return "\n".join([*rows, *compared])


def fault_of(number: int, seed: int, names: list[str]) -> str:
    """The fault of a round: each comes before any comes again."""
    deck = sorted(names)
    Random(f"{seed}|deck {(number - 1) // len(deck)}").shuffle(deck)
    return deck[(number - 1) % len(deck)]


def run(arguments: argparse.Namespace, folder: Path, store: str) -> int:
    """All rounds on one store; the exit code."""
    folder.mkdir()
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    minutes = max(arguments.rounds * ROUND_MINUTES, 60)
    load = Load(arguments.seed, until, minutes, arguments.requests, beat_minutes=ROUND_MINUTES)
    rounds: list[Round] = []
    with installed(folder, store, load) as (streamed, broker, proxy):
        soak = Soak(streamed, broker, proxy, Random(arguments.seed))
        began_s, names = monotonic(), arguments.faults.split(",") if arguments.faults else list(soak.faults)
        for number in range(arguments.first_round, arguments.first_round + arguments.rounds):
            if rounds and arguments.minutes and monotonic() - began_s > arguments.minutes * 60:
                break
            fault = fault_of(number, arguments.seed, names)
            rounds.append(soak.round(number, fault, began_s, Random(f"{arguments.seed}|{number}")))
            one = rounds[-1]
            print(f"{number:>4} {fault:<18}{one.took_s:>7.1f} s  {'; '.join(one.wrong[:3]) or 'holds'}", flush=True)
        streamed.feed_next(load.minutes, 0.0)
        wrong = soak.wrong()
        here, wanted = streamed.as_without_faults()
        differing = [name for name in vars(wanted) if getattr(here, name) != getattr(wanted, name)]
        compared = [*wrong, *(f"I5: {name} differ" for name in differing)]
        produced = load.produced.events
    print(shown(rounds, compared))
    held = next((place for place, one in enumerate(rounds) if one.wrong), len(rounds))
    print(
        f"{store}: {len(rounds)} rounds, the first {held} in a row held, {soak.kills} kills, {produced} events, "
        f"{monotonic() - began_s:.0f} s, seed {arguments.seed}"
    )
    return 1 if compared or any(one.wrong for one in rounds) else 0


def main() -> int:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="on each store")
    parser.add_argument("--first-round", type=int, default=1, help="go on from this one of the seed's rounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=None, help="end after so long on each store")
    parser.add_argument("--requests", type=int, default=30, help="token events of a minute of event time")
    parser.add_argument("--store", choices=("both", *STORES), default="both")
    parser.add_argument("--faults", default=None, help="only these, with commas")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="emberwatch-soak-"))
    try:
        stores = STORES if arguments.store == "both" else (arguments.store,)
        code = max(run(arguments, folder / store, store) for store in stores)
    except CannotBeHad as why:
        print(f"NOT TESTED: {why}", file=sys.stderr)
        return 2
    print(f"logs and files: {folder}")
    return code


if __name__ == "__main__":
    sys.exit(main())
