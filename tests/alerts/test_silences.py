"""What is silenced, and when; and what can't be meant."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.matching import Matcher, parse_all
from alerts.silences import Silence, SilenceError, silence, silencing
from tests.alerts.samples import DATA_GAP, IDLE

NOW = datetime(2026, 11, 23, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)


def made(*matchers: str, **how: object) -> Silence:
    given = {"starts_at": NOW, "ends_at": NOW + 2 * HOUR, "by": "ana", "now": NOW, **how}
    return silence([Matcher.parse(one) for one in matchers], **given)  # type: ignore[arg-type]


def test_it_hushes_what_matches_from_its_beginning_up_to_its_end() -> None:
    one = made('team="search"', "kind=~idle|waste")

    assert silencing(IDLE, [one], NOW) is one
    assert silencing(IDLE, [one], NOW + 2 * HOUR) is None
    assert silencing(IDLE, [one], NOW - HOUR) is None
    assert silencing(DATA_GAP, [one], NOW) is None


def test_a_window_comes_back_until_its_end() -> None:
    one = made('cluster="prod-eu"', every=timedelta(days=7), until=NOW + timedelta(days=15))
    week = timedelta(days=7)

    moments = [NOW, NOW + 3 * HOUR, NOW + week, NOW + week + 3 * HOUR, NOW + 2 * week, NOW + 3 * week]

    assert [one.active(at) for at in moments] == [True, False, True, False, True, False]
    assert [one.over(at) for at in moments] == [False, False, False, False, False, True]


def test_one_that_was_ended_hushes_no_more() -> None:
    one = made('team="search"')
    ended = Silence(**{**{n: getattr(one, n) for n in Silence.__struct_fields__}, "expired_at": NOW + HOUR})

    assert (ended.active(NOW), ended.active(NOW + HOUR), ended.over(NOW + HOUR)) == (True, False, True)


@pytest.mark.parametrize(
    ("matchers", "how", "said"),
    [
        ([], {}, "needs a matcher"),
        (['team=""'], {}, "needs a matcher"),
        (['team="a"'], {"ends_at": NOW}, "ends after it starts"),
        (['team="a"'], {"ends_at": NOW + timedelta(days=500)}, "at most 400 days"),
        (['team="a"'], {"every": HOUR, "until": NOW + 9 * HOUR}, "shorter than the time between"),
        (['team="a"'], {"every": 24 * HOUR}, "needs an end"),
    ],
)
def test_what_can_not_be_meant_is_refused(matchers: list[str], how: dict[str, object], said: str) -> None:
    with pytest.raises(SilenceError, match=said):
        made(*matchers, **how)


def test_matchers_are_read_from_one_line() -> None:
    assert parse_all('team="a, b", kind=~"idle|waste",name=x') == (
        Matcher.parse('team="a, b"'),
        Matcher.parse('kind=~"idle|waste"'),
        Matcher.parse("name=x"),
    )
