"""What a sample costs stays within 64 bits, however absurd a rate that a bill taught."""

from streams.pricing import Rate
from tests.streams.events import NOON, Log, gpu, pipeline


def test_a_rate_that_no_column_holds_counts_as_the_most_that_is_counted(monkeypatch):
    one = pipeline()
    monkeypatch.setattr(one.pricer, "rate", lambda *_: Rate(10**20, "billed", float("-inf"), float("inf")))

    one.observe(Log().records([gpu(NOON, span_s=86_400), gpu(NOON, device="GPU-2", span_s=36)]))

    assert sum(row.nano_usd for row in one.drain().ledger) == 10**18 + 10**16
