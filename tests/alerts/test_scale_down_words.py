"""Why a scale-down waits is said in words."""

import pytest
from msgspec.structs import replace

from alerts.scale_down import ActionStep, Why
from alerts.scale_down_words import WAITS, waiting_in_words
from tests.alerts.test_scale_down import at_step

PROPOSED = at_step(ActionStep.PROPOSED)
REASONS = list(Why)
WAITING = REASONS[REASONS.index(Why.PAUSED) : REASONS.index(Why.KEPT)]


def test_every_reason_to_wait_has_words():
    assert set(WAITS) == set(WAITING)


@pytest.mark.parametrize(
    ("waiting", "words"),
    [
        ("", ""),
        ("gpu_limit", "with it, more of the fleet would be stopped than may be"),
        ("a_reason_of_another_release", "a reason of another release"),
    ],
)
def test_the_words_are_those_of_the_latest_look(waiting: str, words: str):
    assert waiting_in_words(replace(PROPOSED, waiting=waiting)) == words
