"""The steps to come of plain series: the middle of what was at moments like them, by the rule that served best lately.

Four rules say what the middle of a step is: the past weighed by likeness, all days alike, the last days only, and
yesterday again. Each is weighed by how it did at earlier origins, and the weighed median of the four is the forecast:
the median, since the error of a single step is least there, however skewed the steps are.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from detectors.likeness import ALL_ALIKE, LIKE, Days, Likeness, days_of, quantiles, weights_for
from detectors.seasonal import Flags, Matrix, Season

LIKE_WHEN_YOUNG = Likeness(half_life_days=14.0, same_class=0.8, other=0.6)
LATELY = Likeness(half_life_days=1.5)
YESTERDAY = Likeness(half_life_days=0.05)
PRIOR_ERRORS = np.array([0.6, 1.0, 1.0, 1.0])  # of the rules, relative to their mean: likeness is worth waiting for
PRIOR_ORIGINS = 3.0  # as many origins as this belief counts for
TAPS_A_DAY = 24  # yesterday is smoothed over three moments so far apart
LOOKED_AT_DAYS = 28  # a day before that weighs a quarter or less
WEEKDAYS_FROM_DAYS = 7  # of history on: before, no weekday was seen twice
LEAD_DAYS = 7  # an origin is judged on so many days; what is beyond repeats the week
SHARPNESS = 3.0  # a rule with twice the error has an eighth of the weight
EVEN_SHARE = 0.05  # of the mean error, by which a perfect rule is held to be imperfect


class Path(Struct, frozen=True):
    """The forecast made so many days before now. steps: (n_rows, n_steps)."""

    ago_days: int
    steps: Matrix


def step_paths(
    filled: Matrix, known: Flags, first_step: int, horizon: int, season: Season, ago_days: Sequence[int]
) -> list[Path]:
    """The forecast at each origin, `ago_days` descending, at most LEAD_DAYS long; the last is now and `horizon` long.

    No origin sees what came after it, neither in the values nor in how the rules did.
    """
    days = days_of(filled, known, first_step, season, LOOKED_AT_DAYS)
    n_rows, n_steps = filled.shape
    whole = days.n_days * season.day
    actual = filled[:, n_steps - whole :].reshape(n_rows, days.n_days, season.day)
    seen = known[:, n_steps - whole :].reshape(n_rows, days.n_days, season.day)
    past: list[tuple[int, Matrix]] = []  # origin, and the summed error of each rule by lead day: (n_rules, n_rows, n)
    paths = []
    for ago in [ago for ago in ago_days if days.n_days - ago >= 1]:
        n_ahead = min(ago, LEAD_DAYS) if ago else min(LEAD_DAYS, -(-horizon // season.day))
        said = rules(days, ago, n_ahead)
        paths.append(Path(ago, merge(said, past, ago)))
        if ago:
            place = days.n_days - ago
            window = slice(place, place + n_ahead)
            miss = np.abs(said - actual[None, :, window]) * seen[None, :, window]
            past.append((ago, np.cumsum(miss.sum(axis=3), axis=2)))
    steps = np.arange(horizon)
    now = paths[-1].steps
    week = season.day * LEAD_DAYS
    return [*paths[:-1], Path(0, now[:, np.where(steps < now.shape[1], steps, steps % week)])]


def rules(days: Days, ago: int, n_ahead: int) -> Matrix:
    """What each rule says at an origin: (n_rules, n_rows, n_ahead, n_times)."""
    like = LIKE if days.n_days - ago > WEEKDAYS_FROM_DAYS else LIKE_WHEN_YOUNG
    likely = [quantiles(days, weights_for(days, ahead, ago, like), [0.5])[0] for ahead in range(n_ahead)]
    others = [quantiles(days, weights_for(days, 0, ago, rule), [0.5])[0] for rule in (ALL_ALIKE, LATELY, YESTERDAY)]
    last, near = others[-1], max(1, days.first_day.size // TAPS_A_DAY)
    others[-1] = np.median(np.stack([last, np.roll(last, near, axis=1), np.roll(last, -near, axis=1)]), axis=0)
    flat = [np.repeat(other[:, None, :], n_ahead, axis=1) for other in others]
    return np.stack([np.stack(likely, axis=1), *flat])


def merge(said: Matrix, past: list[tuple[int, Matrix]], ago: int) -> Matrix:
    """The weighed median of the rules, weighed by what is known of their errors at the origin: (n_rows, n_steps)."""
    n_rules, n_rows = said.shape[:2]
    error = np.zeros((n_rules, n_rows))
    for earlier, summed in past:
        length = min(earlier - ago, summed.shape[2])
        error += summed[:, :, length - 1] / length
    n_origins = max(len(past), 1)
    mean = error.mean(axis=0) / n_origins if past else np.ones(n_rows)
    error += PRIOR_ORIGINS * PRIOR_ERRORS[:, None] * mean
    floor = EVEN_SHARE * error.mean(axis=0) + 1e-300
    weight = ((error + floor) / (error.min(axis=0) + floor)) ** -SHARPNESS
    flat = said.reshape(n_rules, n_rows, -1)
    return weighed_median(flat, weight)


def weighed_median(values: Matrix, weight: Matrix) -> Matrix:
    """values: (n, n_rows, n_steps), weight: (n, n_rows). The middle of the two where the halves are even."""
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    share = np.take_along_axis(np.broadcast_to(weight[:, :, None], values.shape), order, axis=0)
    running = np.cumsum(share, axis=0)
    half = running[-1] / 2.0
    slack = 1e-9 * half
    low, high = np.argmax(running >= half - slack, axis=0), np.argmax(running > half + slack, axis=0)
    middle: Matrix = (
        np.take_along_axis(ordered, low[None], axis=0)[0] + np.take_along_axis(ordered, high[None], axis=0)[0]
    ) / 2.0
    return middle
