"""The ledger adds up to the nano-dollar."""

from datetime import timedelta, timezone

from store.facts import Facts, StatusRow, WorkloadState
from store.ledger import SpendHour, WorkloadSpend
from store.store import Store
from tests.store.samples import CHAT, HOUR, NOON, commit, ledger_row

EMBED = "prod/llm/embed"


def test_rows_come_back_as_they_were_written(store: Store) -> None:
    rows = [
        ledger_row(line="gpu|A\x20100|book", nano_usd=1, gpu_s=0.1),
        ledger_row(line="tokens|openai/gpt|genai", team=None, requests=3, input_tokens=10**15, output_tokens=2),
    ]
    commit(store, Facts(ledger=rows))
    assert store.ledger_rows(NOON, NOON + HOUR) == rows


def test_sums_are_exact_where_floats_are_not(store: Store) -> None:
    large = 2**53
    commit(store, Facts(ledger=[ledger_row(line="a", nano_usd=large), ledger_row(line="b", nano_usd=1)]))

    assert store.spend_by_hour(NOON, NOON + HOUR) == [
        SpendHour(hour=NOON, workload=CHAT, team="search", nano_usd=large + 1)
    ]


def test_a_rewrite_replaces_and_does_not_add(store: Store) -> None:
    commit(store, Facts(ledger=[ledger_row(nano_usd=5)]), Facts(ledger=[ledger_row(nano_usd=3)]))
    assert [row.nano_usd for row in store.spend_by_hour(NOON, NOON + HOUR)] == [3]


def test_the_last_of_two_rows_of_one_key_in_a_commit_counts(store: Store) -> None:
    commit(store, Facts(ledger=[ledger_row(nano_usd=5), ledger_row(nano_usd=9)]))
    assert [row.nano_usd for row in store.spend_by_hour(NOON, NOON + HOUR)] == [9]


def test_a_stretch_holds_its_first_hour_and_not_its_end(store: Store) -> None:
    commit(store, Facts(ledger=[ledger_row(hour=NOON + k * HOUR, nano_usd=k) for k in range(4)]))

    hours = store.spend_by_hour(NOON + HOUR, NOON + 3 * HOUR)

    assert [(spend.hour, spend.nano_usd) for spend in hours] == [(NOON + HOUR, 1), (NOON + 2 * HOUR, 2)]
    assert store.first_hour() == NOON


def test_one_workload_can_be_asked_for(store: Store) -> None:
    commit(store, Facts(ledger=[ledger_row(), ledger_row(workload=EMBED, nano_usd=2)]))
    assert [spend.workload for spend in store.spend_by_hour(NOON, NOON + HOUR, workload=EMBED)] == [EMBED]


def test_workloads_come_the_dearest_first(store: Store) -> None:
    rows = [
        ledger_row(nano_usd=2, gpu_s=1.5),
        ledger_row(workload=EMBED, team=None, line="x", nano_usd=4, gpu_s=0.0, requests=2, unpriced_tokens=6),
        ledger_row(workload=EMBED, team=None, line="y", nano_usd=4, gpu_s=0.0, input_tokens=1, output_tokens=1),
    ]
    commit(store, Facts(ledger=rows))

    nothing = {"gpu_s": 0.0, "requests": 0, "input_tokens": 0, "output_tokens": 0, "unpriced_tokens": 0}
    assert store.spend_by_workload(NOON, NOON + HOUR) == [
        WorkloadSpend(
            workload=EMBED,
            team=None,
            nano_usd=8,
            **{**nothing, "requests": 2, "unpriced_tokens": 6, "input_tokens": 1, "output_tokens": 1},  # type: ignore[arg-type]
        ),
        WorkloadSpend(workload=CHAT, team="search", nano_usd=2, **{**nothing, "gpu_s": 1.5}),  # type: ignore[arg-type]
    ]


def test_the_latest_known_team_counts_even_when_older_hours_are_rewritten(store: Store) -> None:
    commit(
        store,
        Facts(ledger=[ledger_row(hour=NOON + HOUR, team="new"), ledger_row(workload=EMBED, team=None)]),
        Facts(ledger=[ledger_row(hour=NOON, team="old"), ledger_row(hour=NOON + 2 * HOUR, team=None)]),
    )
    assert store.teams() == {CHAT: "new", EMBED: None}

    status = StatusRow(workload=EMBED, team="ml", at=NOON, state=WorkloadState.BUSY, usd_per_hour=1.0)
    commit(store, Facts(statuses=[status]))
    assert store.teams() == {CHAT: "new", EMBED: "ml"}


def test_moments_of_any_offset_are_the_same_hour(store: Store) -> None:
    paris = NOON.astimezone(timezone(timedelta(hours=1)))
    commit(store, Facts(ledger=[ledger_row(hour=paris)]), Facts(ledger=[ledger_row(hour=NOON)]))

    (row,) = store.ledger_rows(paris, paris + HOUR)
    assert row.hour == NOON
    assert row.hour.utcoffset() == timedelta(0)


def test_thousands_of_rows_fit_in_one_commit(store: Store) -> None:
    rows = [ledger_row(workload=f"prod/llm/w{n:04}", nano_usd=n) for n in range(3000)]
    commit(store, Facts(ledger=rows), Facts(ledger=rows))
    assert sum(spend.nano_usd for spend in store.spend_by_hour(NOON, NOON + HOUR)) == 2999 * 3000 // 2


def test_text_that_a_database_refuses_does_not_stop_a_commit(store: Store) -> None:
    commit(store, Facts(ledger=[ledger_row(team="a\x00b")]), Facts(ledger=[ledger_row(team="a\x00b")]))
    assert store.teams() == {CHAT: "a\ufffdb"}
