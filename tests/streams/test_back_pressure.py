from structlog.testing import capture_logs

from store.errors import StoreUnavailable, Trouble
from streams.back_pressure import BackPressure, Pressure
from streams.metrics import Metrics

FULL = StoreUnavailable("database or disk is full", Trouble.FULL)


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_store_that_is_away_has_a_reason_a_remedy_and_an_end():
    clock = Seconds()
    one = BackPressure(clock)

    with capture_logs() as logs:
        one.away(FULL, "commit")
        clock.now += 5
        one.away(FULL, "commit")
        held, words = one.reasons(), one.unwell()
        one.back("commit")
        one.back("commit")

    assert held == {Pressure.STORE_UNAVAILABLE}
    assert words == ("the store has no space left: free space on the database's disk; input waits, and nothing is lost")
    assert logs == [
        {
            "event": "store_unavailable",
            "log_level": "warning",
            "doing": "commit",
            "reason": "database or disk is full",
            "remedy": "free space on the database's disk",
            "away_s": 0.0,
        },
        {"event": "store_back", "log_level": "info", "doing": "commit", "was": "full", "away_s": 5.0},
    ]
    assert (one.reasons(), one.unwell()) == (frozenset(), None)


def test_what_still_fails_is_not_ended_by_what_works():
    one = BackPressure(Seconds())

    one.away(FULL, "commit")
    one.away(FULL, "duties")
    one.back("duties")

    assert one.store_away
    one.back("commit")
    assert not one.store_away


def test_the_same_trouble_is_said_again_after_a_while_and_another_at_once():
    clock = Seconds()
    one = BackPressure(clock)

    with capture_logs() as logs:
        for _ in range(60):
            one.away(FULL, "commit")
            clock.now += 0.5
        one.away(StoreUnavailable("no answer"), "commit")

    assert [(line["reason"], line["away_s"]) for line in logs] == [
        ("database or disk is full", 0.0),
        ("database or disk is full", 15.0),
        ("no answer", 30.0),
    ]


def test_a_write_that_takes_long_is_shown_while_it_lasts_and_until_one_is_fast_again():
    clock = Seconds()
    one = BackPressure(clock)

    with one.writing():
        clock.now += 1.0
        assert one.reasons() == frozenset()
        clock.now += 2.0
        assert (one.reasons(), one.unwell()) == ({Pressure.STORE_SLOW}, None)
        clock.now += 9.0
        assert one.unwell() == "the store has not answered a write for 12 s; input waits, and nothing is lost"
    assert (one.reasons(), one.unwell()) == ({Pressure.STORE_SLOW}, None)
    with one.writing():
        pass

    assert one.reasons() == frozenset()


def test_the_metrics_name_every_reason_and_which_of_them_hold():
    one, metrics = BackPressure(Seconds()), Metrics("test")
    metrics.back_pressure(one.reasons, Pressure)

    def shown() -> dict[str, float]:
        (family,) = [family for family in metrics.registry.collect() if family.name == "emberwatch_backpressure"]
        return {sample.labels["reason"]: sample.value for sample in family.samples}

    before = shown()
    one.away(FULL, "commit")
    one.inbox(full=True)

    assert before == {"store_unavailable": 0.0, "store_slow": 0.0, "inbox_full": 0.0}
    assert shown() == {"store_unavailable": 1.0, "store_slow": 0.0, "inbox_full": 1.0}
