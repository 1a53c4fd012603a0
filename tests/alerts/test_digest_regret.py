from datetime import time, timedelta

from msgspec.structs import replace

from alerts import digest_words
from alerts.digest import compose
from alerts.regret import sum_up
from alerts.week import week_named
from alerts.would_stop import Outcome
from tests.alerts.test_would_stop import STOP


def test_the_digest_says_what_mode_auto_would_have_stopped_in_its_week():
    week = week_named("2026-W10", "UTC", "monday", time(9))
    quiet = replace(STOP, outcome=Outcome.QUIET, quiet_until=STOP.at + timedelta(hours=2))
    earlier = replace(quiet, stop_id="act_b:1", at=week.start - timedelta(hours=1))

    with_stops = compose(week, this_week={}, last_week={}, stops=[earlier, quiet])
    without = compose(week, this_week={}, last_week={}, stops=[earlier])

    assert with_stops.actions.regret == sum_up([quiet])
    assert digest_words.actions(with_stops.actions) == [
        "In mode auto: 1 stop, $32.00 saved; after 0 of them work came within 30 minutes.",
        "Regret: 0 %, with 95 % certainty no more than 79 %.",
    ]
    assert without.actions.regret is None
