"""When nothing is stopped: by date, by day of the week, by the clock of a zone, over midnight."""

from datetime import UTC, datetime, time

import pytest

from alerts.freezes import Freeze, frozen

WORK = Freeze(days=("monday", "friday"), begins=time(8), ends=time(18), timezone="Europe/Berlin")
NIGHT = Freeze(days=("friday",), begins=time(22), ends=time(6))
HOLIDAY = Freeze(since=datetime(2026, 12, 20, tzinfo=UTC), until=datetime(2027, 1, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("freeze", "at", "holds"),
    [
        (HOLIDAY, "2026-12-19T23:59:59Z", False),
        (HOLIDAY, "2026-12-20T00:00:00Z", True),
        (HOLIDAY, "2027-01-04T00:00:00Z", False),
        (WORK, "2026-11-23T07:00:00Z", True),  # a Monday, 8 o'clock in winter
        (WORK, "2026-11-23T06:59:59Z", False),
        (WORK, "2026-06-22T06:00:00Z", True),  # 8 o'clock in summer
        (WORK, "2026-11-23T17:00:00Z", False),
        (WORK, "2026-11-24T09:00:00Z", False),  # a Tuesday
        (NIGHT, "2026-11-27T22:00:00Z", True),
        (NIGHT, "2026-11-28T05:59:00Z", True),  # Saturday morning is Friday's night
        (NIGHT, "2026-11-28T06:00:00Z", False),
        (NIGHT, "2026-11-28T22:00:00Z", False),
        (NIGHT, "2026-11-27T05:00:00Z", False),  # Thursday's night
        (Freeze(begins=time(20)), "2026-11-27T20:00:00Z", True),
        (Freeze(begins=time(20)), "2026-11-27T19:59:00Z", False),
        (Freeze(ends=time(6)), "2026-11-27T05:59:00Z", True),
        (Freeze(ends=time(6)), "2026-11-27T06:00:00Z", False),
        (Freeze(days=("sunday",)), "2026-11-29T12:00:00Z", True),
    ],
)
def test_a_freeze_holds_while_all_that_it_says_does(freeze, at, holds):
    moment = datetime.fromisoformat(at)

    assert frozen((freeze,), moment) is holds
    assert frozen((), moment) is False
    assert frozen((Freeze(since=moment), freeze), moment) is True
