import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from store.facts import LedgerRow
from streams.ledger_pages import HOUR_MS, LedgerPages
from tests.streams.events import CHAT, NOON

AMOUNTS = ("nano_usd", "gpu_ms", "requests", "input_tokens", "output_tokens", "unpriced_tokens")
NOON_MS = round(NOON.timestamp() * 1000)
LINE = "gpu|H100|book"
LAWFUL = settings(derandomize=True, max_examples=200, deadline=None)


def add(pages: LedgerPages, workload: str, line: str, end_ms: int, span_ms: int, **amounts: int) -> None:
    columns = {name: np.array([amount], dtype=np.int64) for name, amount in amounts.items()}
    pages.add(np.array([pages.line(workload, line)]), np.array([end_ms]), np.array([span_ms]), **columns)


def drained(pages: LedgerPages) -> dict[str, tuple[int, float]]:
    return {f"{row.hour:%H}": (row.nano_usd, row.gpu_s) for row in pages.drain({}.get)}


def test_a_span_over_the_hour_is_split_in_proportion():
    pages = LedgerPages()

    add(pages, CHAT, LINE, NOON_MS + 15 * 60_000, 60 * 60_000, nano_usd=4_000_000_001, gpu_ms=3_600_000)

    assert drained(pages) == {"11": (3_000_000_000, 2700.0), "12": (1_000_000_001, 900.0)}


def test_a_span_that_ends_at_the_hour_belongs_to_the_hour_before():
    pages = LedgerPages()

    add(pages, CHAT, LINE, NOON_MS, 30_000, nano_usd=7)
    add(pages, CHAT, LINE, NOON_MS, 0, nano_usd=5)

    assert drained(pages) == {"11": (7, 0.0), "12": (5, 0.0)}


@LAWFUL
@given(
    end_ms=st.integers(10 * HOUR_MS, 40 * HOUR_MS),
    span_ms=st.integers(0, 9 * HOUR_MS),
    amounts=st.tuples(*[st.integers(0, 10**15)] * 6),
)
def test_the_parts_are_the_whole_to_the_last_nano_dollar(end_ms, span_ms, amounts):
    pages = LedgerPages()

    add(pages, CHAT, LINE, end_ms, span_ms, **dict(zip(AMOUNTS, amounts, strict=True)))

    rows = {row.hour.timestamp() * 1000 // HOUR_MS: row for row in pages.drain({}.get)}
    for name, amount in zip(AMOUNTS, amounts, strict=True):
        told = [round(row.gpu_s * 1000) if name == "gpu_ms" else getattr(row, name) for row in rows.values()]
        assert min(told) >= 0
        assert sum(told) == amount or (name == "gpu_ms" and abs(sum(told) - amount) <= amount * 1e-12)
    assert min(rows) >= (end_ms - span_ms) // HOUR_MS
    for hour, row in rows.items():
        covered_ms = min(end_ms, (hour + 1) * HOUR_MS) - max(end_ms - span_ms, hour * HOUR_MS)
        assert span_ms == 0 or abs(row.nano_usd - amounts[0] * covered_ms / span_ms) <= 1 + amounts[0] * 1e-12


@LAWFUL
@given(
    spans=st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]), st.integers(10 * HOUR_MS, 14 * HOUR_MS), st.integers(0, 2 * HOUR_MS),
            st.sampled_from([0, 1, 10**9 + 7, 10**12 + 1, 10**17]),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_many_at_once_are_the_same_as_one_by_one(spans):
    one_by_one, at_once = LedgerPages(), LedgerPages()
    for line, end_ms, span_ms, nano_usd in spans:
        add(one_by_one, CHAT, line, end_ms, span_ms, nano_usd=nano_usd, gpu_ms=span_ms)
    lines = np.array([at_once.line(CHAT, line) for line, *_ in spans], dtype=np.int64)
    end_ms, span_ms, nano_usd = (np.array([span[place] for span in spans], dtype=np.int64) for place in (1, 2, 3))
    at_once.add(lines, end_ms, span_ms, nano_usd=nano_usd, gpu_ms=span_ms)

    assert at_once.drain({}.get) == one_by_one.drain({}.get)
    assert at_once.whole() == one_by_one.whole()


def test_drain_gives_absolute_figures_of_what_changed():
    pages = LedgerPages()
    add(pages, CHAT, LINE, NOON_MS + 60_000, 60_000, nano_usd=1, gpu_ms=60_000)
    add(pages, CHAT, "other", NOON_MS + 60_000, 60_000, nano_usd=9, requests=2, input_tokens=3, output_tokens=4)
    first = pages.drain({CHAT: "search"}.get)
    add(pages, CHAT, LINE, NOON_MS + 120_000, 60_000, nano_usd=2, gpu_ms=60_000)

    row = LedgerRow(hour=NOON, workload=CHAT, line=LINE, team="search", nano_usd=1, gpu_s=60.0)
    other = LedgerRow(
        hour=NOON, workload=CHAT, line="other", team="search", nano_usd=9, requests=2, input_tokens=3, output_tokens=4
    )
    assert first == [row, other]
    assert pages.drain({}.get) == [
        LedgerRow(hour=NOON, workload=CHAT, line=LINE, team=None, nano_usd=3, gpu_s=120.0),
    ]
    assert pages.drain({}.get) == []


def test_old_hours_go_once_they_are_written_and_not_before():
    pages = LedgerPages()
    hour = NOON_MS // HOUR_MS
    add(pages, CHAT, LINE, NOON_MS + 1, 1, nano_usd=1)

    pages.forget(hour + 1)
    rows = pages.drain({}.get)
    pages.forget(hour + 1)

    assert [row.hour for row in rows] == [NOON]
    assert list(pages.whole()) == ["lines"]
    assert pages.changes()[f"hour/{hour}"] is None


def test_a_trip_through_bytes_keeps_every_sum_and_marks_none_as_changed():
    pages, loaded = LedgerPages(), LedgerPages()
    for number in range(5):
        add(pages, f"a/b/{number}", LINE, NOON_MS + number * HOUR_MS + 1, 2 * HOUR_MS, nano_usd=10**9 + number)
    pages.drain({}.get)

    pages.rest((NOON_MS + 9 * HOUR_MS) // HOUR_MS)
    loaded.load({name: body for name, body in pages.changes().items() if body is not None})
    assert loaded.drain({}.get) == []
    add(loaded, "a/b/0", LINE, NOON_MS + 1, 1, nano_usd=1)
    add(pages, "a/b/0", LINE, NOON_MS + 1, 1, nano_usd=1)

    assert loaded.whole() == pages.whole()
    assert loaded.drain({}.get) == pages.drain({}.get)


def test_a_sum_beyond_all_reason_stays_small_enough_for_the_store():
    pages = LedgerPages()
    for _ in range(12):
        add(pages, "a/b/c", "tokens", 60_000, 0, nano_usd=10**18, requests=10**15, input_tokens=10**18)

    (row,) = pages.drain({}.get)

    assert (row.nano_usd, row.requests, row.input_tokens) == (10**18, 12 * 10**15, 10**18)


def test_sums_of_two_partitions_do_not_stand_in_each_others_place():
    rows = []
    for partition in (0, 3):
        pages = LedgerPages(partition)
        add(pages, "a/b/c", "gpu|H100|book", 60_000, 0, nano_usd=7)
        rows += pages.drain({}.get)

    assert [(row.line, row.nano_usd) for row in rows] == [("gpu|H100|book", 7), ("gpu|H100|book|p3", 7)]


def test_lines_of_hours_that_are_gone_are_forgotten_and_the_others_keep_their_sums():
    pages, hour = LedgerPages(), NOON_MS // HOUR_MS
    for number in range(3_000):
        add(pages, f"old/b/{number}", LINE, NOON_MS + 1, 1, nano_usd=number)
    for number in range(10):
        add(pages, f"new/b/{number}", LINE, NOON_MS + HOUR_MS + 1, 1, nano_usd=100 + number)
        add(pages, f"new/b/{number}", LINE, NOON_MS + 5 * HOUR_MS + 1, 1, nano_usd=200 + number)
    before = {(row.workload, row.hour): row.nano_usd for row in pages.drain({}.get)}
    parts = pages.changes()
    pages.rest(hour + 4)  # one of the hours that stay is squeezed, the other is not

    assert pages.forget(hour + 1)

    for number in range(9, -1, -1):
        for later in (1, 5):
            add(pages, f"new/b/{number}", LINE, NOON_MS + later * HOUR_MS + 1, 1, nano_usd=1)
    told = pages.drain({}.get)
    assert [(row.workload, row.nano_usd) for row in told] == [
        (f"new/b/{number}", base + number + 1) for base in (100, 200) for number in range(10)
    ]
    assert all(before[row.workload, row.hour] == row.nano_usd - 1 for row in told)
    written = parts | pages.changes()
    loaded = LedgerPages()
    loaded.load({name: body for name, body in written.items() if body is not None})
    assert loaded.whole() == pages.whole()
    assert len(pages.changes()) == 0
    assert len(written["lines"]) < 1_000


def test_few_lines_stay_and_what_is_written_holds_only_those_in_use():
    pages, hour = LedgerPages(), NOON_MS // HOUR_MS
    add(pages, "old/b/c", LINE, NOON_MS + 1, 1, nano_usd=1)
    add(pages, "new/b/c", LINE, NOON_MS + HOUR_MS + 1, 1, nano_usd=2)
    pages.drain({}.get)

    assert not pages.forget(hour + 1)

    alone = LedgerPages()
    add(alone, "new/b/c", LINE, NOON_MS + HOUR_MS + 1, 1, nano_usd=2)
    assert pages.whole() == alone.whole()
