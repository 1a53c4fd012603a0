"""The bill is kept to the last digit, in its latest version."""

from datetime import timedelta
from decimal import Decimal

from store.charges import BilledHour
from store.facts import Facts
from store.store import Store
from tests.store.samples import CHAT, HOUR, MINUTE, NOON, charge, commit


def test_amounts_keep_every_digit(store: Store) -> None:
    rows = [
        charge(identity="a", billed_cost=Decimal("0.1"), effective_cost=Decimal("-123456789.123456789012345")),
        charge(identity="b", billed_cost=Decimal("1E+3"), effective_cost=Decimal("1E-20"), workload=None, team=None),
    ]
    commit(store, Facts(charges=rows))
    assert store.charges_between(NOON, NOON + HOUR) == rows


def test_a_row_delivered_again_replaces_the_earlier_one(store: Store) -> None:
    restated = charge(at=NOON + HOUR, effective_cost=Decimal("60.00"), billed_cost=Decimal("97.01"))
    commit(store, Facts(charges=[charge()]), Facts(charges=[restated]))
    assert store.charges_between(NOON, NOON + HOUR) == [restated]


def test_an_older_version_that_comes_late_changes_nothing(store: Store) -> None:
    restated = charge(at=NOON + HOUR, effective_cost=Decimal("60.00"))
    commit(store, Facts(charges=[restated]), Facts(charges=[charge()]))
    assert store.charges_between(NOON, NOON + HOUR) == [restated]


def test_versions_in_one_commit_end_as_the_newest_in_any_order(store: Store) -> None:
    restated = charge(at=NOON + HOUR, effective_cost=Decimal("60.00"))
    commit(store, Facts(charges=[restated, charge()]))
    assert store.charges_between(NOON, NOON + HOUR) == [restated]


def test_an_identity_may_be_longer_than_an_index_can_hold(store: Store) -> None:
    rows = [charge(identity="".join(chr(0x4E00 + (n * 7919 + k) % 20000) for n in range(2500))) for k in range(2)]
    commit(store, Facts(charges=rows), Facts(charges=rows))
    assert len(store.charges_between(NOON, NOON + HOUR)) == 2


def test_the_hours_of_a_charge_add_up_to_it_exactly(store: Store) -> None:
    commit(store, Facts(charges=[charge(period_end=NOON + 7 * HOUR, effective_cost=Decimal("100.00"))]))

    billed = store.billed_by_hour(NOON - HOUR, NOON + 24 * HOUR)

    assert [one.hour for one in billed] == [NOON + k * HOUR for k in range(7)]
    assert sum(one.usd for one in billed) == Decimal("100.00")
    assert {one.usd.quantize(Decimal("0.0001")) for one in billed} == {Decimal("14.2857")}


def test_a_period_that_begins_within_an_hour_is_spread_by_its_time(store: Store) -> None:
    half_past = NOON + 30 * MINUTE
    commit(
        store,
        Facts(charges=[charge(period_start=half_past, period_end=half_past + HOUR, effective_cost=Decimal(3))]),
    )
    assert store.billed_by_hour(NOON, NOON + 2 * HOUR) == [
        BilledHour(hour=NOON, workload=CHAT, usd=Decimal("1.5")),
        BilledHour(hour=NOON + HOUR, workload=CHAT, usd=Decimal("1.5")),
    ]


def test_only_hours_of_the_stretch_are_given(store: Store) -> None:
    commit(store, Facts(charges=[charge(period_end=NOON + 4 * HOUR, effective_cost=Decimal(8))]))
    assert store.billed_by_hour(NOON + timedelta(minutes=30), NOON + 2 * HOUR) == [
        BilledHour(hour=NOON + HOUR, workload=CHAT, usd=Decimal(2))
    ]


def test_charges_of_one_hour_add_up_and_foreign_ones_stay_out(store: Store) -> None:
    rows = [
        charge(identity="a", effective_cost=Decimal("0.10")),
        charge(identity="b", effective_cost=Decimal("0.20")),
        charge(identity="credit", category="Credit", effective_cost=Decimal("-0.05")),
        charge(identity="euro", currency="EUR"),
        charge(identity="nobody", workload=None),
    ]
    commit(store, Facts(charges=rows))
    assert store.billed_by_hour(NOON, NOON + HOUR) == [BilledHour(hour=NOON, workload=CHAT, usd=Decimal("0.25"))]
