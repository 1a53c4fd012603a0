"""One gradient-boosted quantile model over all workloads: what it has learnt from many it may say of each.

It sees days, not hours, each workload in units of its own mean, and learns the middle of a day so many days ahead from
what the days before were. It speaks for a workload only where it has proved better there, and its interval is the
conformal one of the champion, from its own past errors.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.forecast import Challenger, Past, past_of, prepare, spread_out
from detectors.seasonal import HOURLY, Flags, Matrix

NAME = "boosted_quantile"
LEAST_ROWS = 20  # a model of all needs many
LEAST_TAUGHT_DAYS = 21  # before the first origin that it is tried at
MIN_ORIGINS = 4
BLOCKS_DAYS = (7, 2, 1)  # lengths of a trial, longest first
LOOK_BACK_DAYS = 14
LEADS_DAYS = 7
MOST_SAMPLES = 60_000
SEED = 1


class Trial(Struct, frozen=True):
    """Four moments at which it is tried, in days before now, and how long each trial is."""

    block_days: int
    ago_days: tuple[int, ...]


def trial_of(n_days: int) -> Trial | None:
    """The longest trials that leave enough days to learn from before the first."""
    for block in BLOCKS_DAYS:
        if n_days - MIN_ORIGINS * block >= LEAST_TAUGHT_DAYS:
            return Trial(block, tuple(block * back for back in range(MIN_ORIGINS, 0, -1)))
    return None


def learn_and_forecast(history: Matrix, first_hour: int, horizon: int) -> dict[int, Challenger]:
    """What it says of each row that has lived long enough, now and at four earlier origins; empty with too few rows.

    history: (n_rows, n_hours) USD of each hour, NaN where unknown. Two fits: one knows nothing since the first origin
    and is tried, the other knows everything and speaks.
    """
    filled, known, lived, cut = prepare(history, None, HOURLY)
    past = past_of(filled, known, lived, first_hour + cut, HOURLY)
    n_days = past.totals.shape[1]
    trial = trial_of(n_days)
    if trial is None:
        return {}
    rows = np.flatnonzero((lived >= n_days - 1) & (past.totals.sum(axis=1) > 0.0))
    if len(rows) < LEAST_ROWS:
        return {}
    then = Model(past, rows, n_days - trial.ago_days[0])
    tried = [then.hours(rows, n_days - ago, trial.block_days, trial.block_days * HOURLY.day) for ago in trial.ago_days]
    ahead = Model(past, rows, n_days).hours(rows, n_days, -(-horizon // HOURLY.day), horizon)
    origins = tuple(ago * HOURLY.day for ago in trial.ago_days)
    return {
        int(row): Challenger(NAME, ahead[place], origins, tuple(said[place] for said in tried))
        for place, row in enumerate(rows)
    }


class Model:
    """A model that has seen the days before `end`, and none after."""

    def __init__(self, past: Past, rows: NDArray[np.int64], end: int) -> None:
        """Learn from every day before `end` that has LOOK_BACK_DAYS before it, or from a seeded draw of them."""
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        self.past = past
        features, targets = [], []
        for origin in range(LOOK_BACK_DAYS, end):
            for lead in range(min(LEADS_DAYS, end - origin)):
                seen = past.known[rows, origin + lead]
                made, scale = features_of(past.totals[rows], past.known[rows], past.first_day, origin, lead)
                features.append(made[seen])
                targets.append((past.totals[rows, origin + lead] / scale)[seen])
        x, y = np.concatenate(features), np.concatenate(targets)
        if len(y) > MOST_SAMPLES:
            drawn = np.random.default_rng(SEED).choice(len(y), MOST_SAMPLES, replace=False)
            x, y = x[drawn], y[drawn]
        self._model = HistGradientBoostingRegressor(
            loss="quantile", quantile=0.5, max_iter=120, learning_rate=0.08, min_samples_leaf=40, early_stopping=False,
            random_state=SEED,
        )  # fmt: skip
        with threadpool_limits(limits=1):  # the other core is the stream's
            self._model.fit(x, y)

    def hours(self, rows: NDArray[np.int64], origin: int, n_days: int, horizon: int) -> Matrix:
        """The hours after an origin: (n_rows, horizon), never negative. A day beyond a week is as its weekday was."""
        totals = np.empty((len(rows), n_days))
        for day in range(n_days):
            if day >= LEADS_DAYS:
                totals[:, day] = totals[:, day - LEADS_DAYS]
                continue
            made, scale = features_of(self.past.totals[rows], self.past.known[rows], self.past.first_day, origin, day)
            totals[:, day] = np.maximum(self._model.predict(made), 0.0) * scale
        found = np.zeros((len(self.past.totals), n_days))
        found[rows] = totals
        return spread_out(self.past, found, horizon)[rows]


def features_of(
    totals: Matrix, known: Flags, first_day: int, origin: int, lead: int
) -> tuple[Matrix, NDArray[np.float64]]:
    """What is known at an origin of a day so many days ahead, and the unit it is in: (n_rows, n_features), (n_rows,).

    The unit is the mean of the last LOOK_BACK_DAYS.
    """
    last = totals[:, origin - LOOK_BACK_DAYS : origin]
    scale = np.maximum(last.mean(axis=1), 1e-9)
    unit = last / scale[:, None]
    same_weekday = unit[:, [LOOK_BACK_DAYS - 2 * LEADS_DAYS + lead, LOOK_BACK_DAYS - LEADS_DAYS + lead]]
    weekday = (first_day + origin + lead) % LEADS_DAYS
    parts: Sequence[NDArray[np.float64]] = (
        unit[:, -3:],
        same_weekday,
        unit[:, -3:].mean(axis=1, keepdims=True),
        unit[:, -7:].mean(axis=1, keepdims=True),
        np.median(unit, axis=1)[:, None],
        unit.std(axis=1)[:, None],
        unit.max(axis=1)[:, None],
        np.log(scale)[:, None],
        known[:, origin - LOOK_BACK_DAYS : origin].mean(axis=1)[:, None],
        np.full((len(totals), 1), float(lead)),
        np.full((len(totals), 1), float(weekday)),
    )
    return np.concatenate(parts, axis=1), scale
