"""Prophet as a challenger: the second opinion on the largest spenders, heard only where it has proved better.

Prophet is the best method on few series and its own intervals are too narrow, so it never speaks by default and its
intervals are never shown: it gets the same conformal interval as the champion, from its own past errors.
"""

import numpy as np

from detectors.seasonal import Rows

MIN_DAYS = 14  # with less it extrapolates wildly
MIN_ORIGINS = 4  # a win on fewer is luck
WIN_BY_RATIO = 0.10
BLOCKS_HOURS = (168, 48, 24)  # lengths of a backtest, longest first
CHANGEPOINT_PRIOR_SCALE = 0.05


def fit_and_forecast(series: Rows, first_hour: int, horizon: int) -> Rows:
    """The next `horizon` hours: (horizon,), never negative.

    series: (n_hours,) USD of each hour, NaN where unknown, `first_hour` the epoch hour of the first.
    Raises ValueError for less than 14 days of known hours.
    """
    known = np.isfinite(series)
    if known.sum() < MIN_DAYS * 24:
        raise ValueError(f"prophet needs {MIN_DAYS * 24} known hours of history, got {int(known.sum())}")
    import pandas
    from prophet import Prophet

    hours = (first_hour + np.arange(len(series) + horizon)) * np.timedelta64(3600, "s") + np.datetime64(0, "s")
    model = Prophet(
        seasonality_mode="multiplicative",
        changepoint_prior_scale=CHANGEPOINT_PRIOR_SCALE,
        daily_seasonality=True,
        weekly_seasonality=True,
        yearly_seasonality=False,
        uncertainty_samples=0,
    )
    model.fit(pandas.DataFrame({"ds": hours[: len(series)][known], "y": series[known]}), seed=1)
    said = model.predict(pandas.DataFrame({"ds": hours[len(series) :]}))["yhat"].to_numpy(dtype=np.float64)
    spend: Rows = np.maximum(said, 0.0)
    return spend


def backtest_origins(n_hours: int) -> tuple[int, tuple[int, ...]] | None:
    """The longest block of which four fit behind 14 days of history, and the four origins in hours before the end."""
    for block in BLOCKS_HOURS:
        if n_hours - MIN_ORIGINS * block >= MIN_DAYS * 24:
            return block, tuple(block * back for back in range(MIN_ORIGINS, 0, -1))
    return None


def promoted(champion_errors: Rows, challenger_errors: Rows) -> bool:
    """Whether the challenger takes over: at least 10 % less mean absolute error over four origins, and sums no worse.

    Both: (n_origins, n_steps), forecast less actual, over origins that do not overlap; NaN where the actual is unknown.
    """
    if len(champion_errors) < MIN_ORIGINS or champion_errors.shape != challenger_errors.shape:
        return False
    champion, challenger = (float(np.nanmean(np.abs(errors))) for errors in (champion_errors, challenger_errors))
    champion_total, challenger_total = (
        float(np.abs(np.nansum(errors, axis=1)).sum()) for errors in (champion_errors, challenger_errors)
    )
    return (
        challenger <= (1.0 - WIN_BY_RATIO) * champion and challenger < champion and challenger_total <= champion_total
    )
