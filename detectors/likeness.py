"""Quantiles of the past moments that are like a moment to come.

A row's own past is cut into days that end now. What is to come at a time of day is compared with the same time of day
on earlier days: a near day counts more than a far one, the same weekday more than another, and a weekend resembles a
weekend. The values are sorted once; an earlier origin, or another weekday, is another set of weights over the same
order.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from detectors.seasonal import Flags, Matrix, Season

DAYS_A_WEEK = 7
WEEKEND = (2, 3)  # days since 1970-01-01, a Thursday, modulo 7
FAR = 1e-6  # of a weight: what counts where nothing else does
Weights = NDArray[np.float32]


class Likeness(Struct, frozen=True):
    """How much an earlier day counts. A day of the same weekday counts as 1, before it is aged."""

    half_life_days: float
    same_class: float = 1.0  # weekday with weekday, weekend with weekend
    other: float = 1.0


LIKE = Likeness(half_life_days=14.0, same_class=0.4, other=0.1)
ALL_ALIKE = Likeness(half_life_days=14.0)
LATELY = Likeness(half_life_days=3.0)


class Days(Struct, frozen=True):
    """A row's past by day and time of day, oldest day first. Times of day are counted from now."""

    values: Matrix  # (n_rows, n_times, n_days), ascending along the days
    order: NDArray[np.int32]  # the flat place in (n_times, n_days) from which each of them came
    known: Flags  # (n_rows, n_times, n_days), in the same order
    first_day: NDArray[np.int64]  # (n_times,) day since 1970-01-01 of the oldest column, by time of day

    @property
    def n_days(self) -> int:
        """How many days are looked at."""
        return int(self.values.shape[2])


def days_of(filled: Matrix, known: Flags, first_step: int, season: Season, n_days: int) -> Days:
    """The last `n_days` whole days before the end of (n_rows, n_steps); `first_step` is that of the first column."""
    n_rows, n_steps = filled.shape
    n_days = min(n_days, n_steps // season.day)
    begin = n_steps - n_days * season.day
    shape = (n_rows, n_days, season.day)
    values = filled[:, begin:].reshape(shape).transpose(0, 2, 1)
    place = np.argsort(values, axis=2, kind="stable").astype(np.int32)
    seen = np.ascontiguousarray(known[:, begin:].reshape(shape).transpose(0, 2, 1))
    first_day = (first_step + begin + np.arange(season.day)) // season.day
    return Days(
        np.take_along_axis(values, place, axis=2),
        place + (np.arange(season.day, dtype=np.int32) * n_days)[None, :, None],
        np.take_along_axis(seen, place, axis=2),
        first_day,
    )


def weights_for(days: Days, ahead: int, ago: int, like: Likeness) -> Weights:
    """How much each (time of day, day) counts for the day `ahead` of an origin `ago` days before now: the 1st is 0."""
    day = np.arange(days.n_days)
    age = days.n_days - 1 - ago - day
    weight = np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / like.half_life_days), 0.0)
    weekday = (days.first_day[:, None] + day) % DAYS_A_WEEK
    target = (days.first_day + days.n_days - ago + ahead)[:, None] % DAYS_A_WEEK
    alike = np.isin(weekday, WEEKEND) == np.isin(target, WEEKEND)
    likeness = np.where(weekday == target, 1.0, np.where(alike, like.same_class, like.other))
    weights: Weights = (weight * likeness).astype(np.float32)
    return weights


def quantiles(days: Days, weights: Weights, shares: Sequence[float]) -> list[Matrix]:
    """The weighted quantile of each time of day for each share: (n_rows, n_times)."""
    each = np.take(weights.ravel(), days.order)
    each *= np.where(days.known, np.float32(1.0), np.float32(FAR))
    np.cumsum(each, axis=2, out=each)
    total = each[:, :, -1:]
    found = []
    for share in shares:
        place = np.argmax(each >= total * np.float32(share), axis=2)
        found.append(np.take_along_axis(days.values, place[:, :, None], axis=2)[:, :, 0])
    return found
