"""The score of any series: its formulas beside slow ones, and the laws that it keeps."""

from collections.abc import Sequence

import numpy as np
import pytest

from detectors import motion, surprise, tail
from detectors.discord import Discord
from detectors.streaming_score import CHANNELS, ScoreError, ScoreRules, StreamingScore

SMALL = ScoreRules(memory=16)


def daily(rows: int, seed: int = 0) -> np.ndarray:
    """A value every five minutes, quiet: a daily wave with a little noise."""
    noise = np.random.default_rng(seed).normal(0.0, 0.3, rows)
    return 10.0 + 3.0 * np.sin(np.arange(rows) * 2.0 * np.pi / 288.0) + noise


def quiet(rows: int) -> np.ndarray:
    """The same all day, but for a little noise."""
    return 10.0 + np.random.default_rng(0).uniform(-0.3, 0.3, rows)


def hours(number: int, rows: int = 1) -> np.ndarray:
    return np.full(rows, number // 12 % 24)


def scores(values: Sequence[float] | np.ndarray, score: StreamingScore | None = None, first: int = 0) -> list[float]:
    """The scores of one series, from row `first` of its time on."""
    score = score or StreamingScore(1, SMALL)
    return [float(score.step(np.array([value]), hours(first + number))[0]) for number, value in enumerate(values)]


def alarms(values: Sequence[float] | np.ndarray) -> list[int]:
    return [number for number, score in enumerate(scores(values)) if score >= 0.5]


def test_a_spike_in_a_quiet_series_alarms_once():
    values = quiet(740)
    values[700:703] = 60.0

    assert alarms(values) == [700]


def test_no_alarm_follows_another_until_it_has_rested():
    values = quiet(743)
    values[[700, 720, 741, 742]] = (60.0, 600.0, 6000.0, 60000.0)  # at row 743 the rest is 30 + 0.015 x 743 rows

    assert alarms(values) == [700, 742]


def test_an_alarm_says_which_channels_made_it():
    values = quiet(701)
    values[700] = 60.0
    score = StreamingScore(1, SMALL)

    loudest = scores(values, score)[-1]

    points = dict(zip(CHANNELS, score.points[0], strict=True))
    assert loudest == min(1.0, 0.5 + 0.125 * sum(points.values()) / SMALL.alarm_points)
    assert points["record"] == 9.0  # far more than the range: the most there is
    assert points["shape_48"] > 0.0
    assert points["restlessness"] > 0.0


def test_a_flat_series_never_alarms():
    assert max(scores([5.0] * 600)) < 0.5


def test_a_series_is_quiet_until_it_has_been_seen_for_a_while():
    values = [10.0**number for number in range(97)]

    assert alarms(values) == [96]
    assert scores([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]


def test_neighbours_change_nothing():
    columns = [daily(400, 1), daily(400, 2) * 1e9, np.zeros(400)]
    columns[0][300] = 90.0
    together = StreamingScore(3, SMALL)

    seen = [
        together.step(np.array(values), hours(number, 3)) for number, values in enumerate(zip(*columns, strict=True))
    ]

    np.testing.assert_array_equal(np.array(seen).T, [scores(column) for column in columns])


def test_a_series_without_a_value_does_not_advance():
    values = daily(400)
    values[350] = 90.0
    together = StreamingScore(2, SMALL)
    told: list[float] = []
    for number, value in enumerate(values):
        gone = together.step(np.array([1.0, np.nan]), hours(number, 2))
        assert (gone[1], list(together.points[1])) == (0.0, [0.0] * 5)
        told.append(float(together.step(np.array([np.nan, value]), hours(number, 2))[1]))

    assert told == scores(values)


def test_a_prefix_has_the_same_scores_as_the_whole():
    values = daily(500)
    values[200], values[450] = 70.0, 700.0

    assert scores(values[:300]) == scores(values)[:300]


def test_the_state_survives_a_trip_through_bytes():
    values = daily(500)
    values[400] = 70.0
    before, after = StreamingScore(1, SMALL), StreamingScore(1, SMALL)

    told = scores(values[:250], before)
    after.load(before.to_bytes())

    assert after.to_bytes() == before.to_bytes()
    assert told + scores(values[250:], after, 250) == scores(values)


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x80", StreamingScore(2, SMALL).to_bytes()])
def test_bytes_of_something_else_are_refused_and_change_nothing(data: bytes):
    score = StreamingScore(1, SMALL)
    scores(daily(100), score)
    held = score.to_bytes()

    with pytest.raises(ScoreError, match="no score of 1 rows"):
        score.load(data)

    assert score.to_bytes() == held


def test_the_state_does_not_grow():
    score = StreamingScore(1, SMALL)
    empty = len(score.to_bytes())

    scores(daily(700), score)

    assert len(score.to_bytes()) == empty


def test_the_unit_does_not_matter():
    values = daily(600)
    values[500] = 40.0

    np.testing.assert_allclose(scores(values * 1024.0), scores(values), atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_finite_values_have_finite_scores(seed: int):
    random = np.random.default_rng(seed)
    extremes = np.array([0.0, 1.0, -1.0, 1e308, -1.7e308, 5e-324, -1e-300, 1e-9, 1e100, 1.0 + 1e-15])
    values = random.choice(extremes[: 4 + 2 * seed], 500)
    score = StreamingScore(1, SMALL)

    for number, value in enumerate(values):
        told = score.step(np.array([value]), hours(number))
        assert 0.0 <= told[0] <= 1.0
        assert np.isfinite(score.points).all()


def test_a_tail_is_the_share_of_forgetful_counts():
    random = np.random.default_rng(5)
    state = tail.begin(1, 2)
    growth = np.array([1.12, 1.06])
    counts = np.zeros((2, tail.BINS))
    total, largest = 0.0, np.zeros(2)
    for age in range(1, 300):
        readings = random.exponential(1.0, 2) * (random.random(2) > 0.3)
        expected = np.zeros(2)
        for channel, reading in enumerate(readings):
            place = 0 if reading <= 1e-4 else min(159, 1 + int(np.log(reading / 1e-4) / np.log(growth[channel])))
            if age > 60:
                expected[channel] = -np.log10((1.0 + counts[channel, place:].sum()) / (total + 2.0))
                if reading > largest[channel] > 0.0:
                    expected[channel] += 8.0 * np.log10(reading / largest[channel])
            counts[channel] *= 1.0 - 1e-4
            counts[channel, place] += 1.0
            largest[channel] = max((1.0 - 1e-4) * largest[channel], reading)
        total = (1.0 - 1e-4) * total + 1.0
        if age == 150:  # the weight of a reading is brought back to 1 now and then
            state["suffix"] *= 2e6
            state["weight"] *= 2e6

        points = tail.rarity(state, readings[None, :], growth, np.array([float(age)]))

        np.testing.assert_allclose(points[0], expected, rtol=1e-9, atol=1e-9)
    assert state["weight"][0] < 2.0


def test_a_shape_is_as_far_as_its_nearest_earlier_one():
    shape = Discord(blocks=3, block_rows=2, memory=9)
    values = np.random.default_rng(6).normal(0.0, 1.0, 60)
    state = {"history": np.zeros((1, 12)), "spread": np.array([0.5]), **shape.begin(1)}
    stored: list[np.ndarray] = []
    for age in range(1, 61):
        state["history"] = np.append(state["history"][:, 1:], [[values[age - 1]]], axis=1)
        expected = 0.0
        if len(stored) > 5:
            now = values[age - 6 : age].reshape(3, 2).mean(axis=1)
            expected = min(np.abs(now - one).mean() for one in stored[-9:]) / 0.5

        found = shape.distance(state, np.array([float(age)]))

        np.testing.assert_allclose(found, [expected], rtol=1e-6)
        if age > 12 and (age % 2 == 0 or len(stored) < 8):
            stored.append(values[age - 12 : age - 6].reshape(3, 2).mean(axis=1))


def test_a_record_counts_by_its_share_of_the_range():
    state = motion.begin(5) | {"highest": np.array([10.0] * 4 + [7.0]), "lowest": np.array([0.0] * 4 + [7.0])}

    points = motion.record(state, np.array([5.0, 10.1, -0.2, 12.0, 8.0]))

    np.testing.assert_allclose(points, [0.0, 1.5, 3.0, 4.0, 0.0])
    assert list(state["highest"]) == [10.0, 10.1, 10.0, 12.0, 8.0]
    assert list(state["lowest"]) == [0.0, 0.0, -0.2, 0.0, 7.0]


def test_a_quick_rise_of_the_steps_is_restlessness():
    state = motion.begin(1) | {
        "before": np.array([1.0]),
        "quick_change": np.array([1.0]),
        "slow_change": np.array([1.0]),
    }

    early = motion.restlessness(
        {name: column.copy() for name, column in state.items()}, np.array([5.0]), np.array([10.0])
    )
    late = motion.restlessness(state, np.array([5.0]), np.array([1000.0]))

    assert early == 0.0
    np.testing.assert_allclose(late, np.log((1.09 + 0.2) / 1.2))
    np.testing.assert_allclose(state["slow_change"], 1.009)


def test_a_value_surprises_by_how_rare_its_level_is_in_its_hour():
    state = surprise.begin(1) | {"own_level": np.array([10.0]), "own_spread": np.array([1.0])}
    state["seen"][0, 3] = (0, 0, 0, 0, 4, 4, 1, 0, 0, 0)
    state["seen"][0, 4, 0] = 3.0
    age = np.array([1000.0])

    told = [
        surprise.surprise(
            {name: column.copy() for name, column in state.items()}, np.array([value]), np.array([hour]), age
        )
        for value, hour in ((10.0, 3), (1e6, 3), (10.0, 4))
    ]

    np.testing.assert_allclose(told, [[-np.log(7.0 / 23.0)], [-np.log(0.5 / 23.0)], [0.0]])
