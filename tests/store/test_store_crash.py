"""A process that is killed leaves whole commits, and nothing else."""

import subprocess
import sys

from store.store import Store
from tests.store.samples import HOUR, NOON

WRITER = """
import sys
from itertools import count
from store.facts import Facts
from store.store import Store
from tests.store.samples import NOON, ledger_row, notice

store = Store.open(sys.argv[1])
epoch = store.claim_partition(0, "writer", NOON).epoch
for n in count(1):
    rows = [ledger_row(line=f"line {k}", nano_usd=n) for k in range(50)]
    facts = Facts(ledger=rows, notices=[notice(f"n{n}", n)])
    store.commit(0, epoch, facts, snapshot={"core": str(n).encode()}, offsets={"t": n}, now=NOON)
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_whole_commits(store_url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, store_url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(line) for line, _ in zip(writer.stdout, range(20), strict=False)]
        writer.kill()

    store = Store.open(store_url)
    claim = store.claim_partition(0, "heir", NOON)
    last = claim.offsets["t"]
    amounts = {row.nano_usd for row in store.ledger_rows(NOON, NOON + HOUR)}
    waiting = store.pending_counts()
    store.close()

    assert said == list(range(1, 21))
    assert last >= 20
    assert claim.snapshot == {"core": str(last).encode()}
    assert amounts == {last}
    assert waiting == {"slack": last}
