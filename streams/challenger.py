"""The challengers in a process of their own: they never hold up the loop, and stop when their time is over."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import structlog
from msgspec import Struct
from numpy.typing import NDArray

from detectors.forecast import Challenger
from detectors.global_challenger import learn_and_forecast
from detectors.prophet_challenger import backtest_origins, fit_and_forecast

Series = NDArray[np.float64]

START_LIMIT_S = 60.0  # for the child process to come up

log = structlog.get_logger()


class ChallengerResult(Struct, frozen=True):
    """What prophet says about one series, now and at four earlier moments."""

    path: Series  # (horizon,) USD of each hour to come
    block_hours: int
    origins_ago: tuple[int, ...]  # hours before the end of the history, descending
    backtests: tuple[Series, ...]  # (block_hours,) each


def challenge(series: Series, first_hour: int, horizon: int) -> ChallengerResult | None:
    """Fit five times: at four earlier origins and now. None where the history is too short or the fit fails."""
    plan = backtest_origins(len(series))
    if plan is None:
        return None
    block, ago = plan
    try:
        backtests = tuple(fit_and_forecast(series[: len(series) - back], first_hour, block) for back in ago)
        path = fit_and_forecast(series, first_hour, horizon)
    except (ValueError, RuntimeError):  # too many gaps, or the optimiser gave up: the champion stays
        return None
    return ChallengerResult(path, block, ago, backtests)


Answer = TypeVar("Answer")


def quiet() -> None:
    """In the child process: fitting is nothing to log, and an interrupt is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)


class ProphetPool:
    """One child process that fits prophet and the model of all. Use as a context manager, or call `close`."""

    def __init__(self) -> None:
        """Start nothing yet: the process begins with the first run."""
        self._executor: ProcessPoolExecutor | None = None
        self._process_id = 0

    def run(
        self, series: Mapping[str, Series], first_hour: int, horizon: int, budget_s: float
    ) -> dict[str, ChallengerResult]:
        """Results in the order of `series` until `budget_s` seconds are over; what was not reached is left out.

        series: (n_hours,) USD of each hour, NaN where unknown, `first_hour` the epoch hour of the first.
        Blocks: call it from a thread. The fit that is under way when the time is over is ended with its process.
        """
        ends = time.monotonic() + budget_s
        found: dict[str, ChallengerResult] = {}
        for name, values in series.items():
            try:
                result = self._ask(challenge, values, first_hour, horizon, ends)
            except (TimeoutError, BrokenProcessPool) as trouble:
                log.info("challenger_stopped", reason=type(trouble).__name__, answered=len(found), asked=len(series))
                self.close()
                break
            if result is not None:
                found[name] = result
        return found

    def learn(self, history: Series, first_hour: int, horizon: int, budget_s: float) -> dict[int, Challenger]:
        """What the model of all rows says of each; nothing when `budget_s` seconds do not suffice.

        history: (n_rows, n_hours) USD of each hour, NaN where unknown. Blocks: call it from a thread.
        """
        try:
            return self._ask(learn_and_forecast, history, first_hour, horizon, time.monotonic() + budget_s)
        except (TimeoutError, BrokenProcessPool) as trouble:
            log.info("challenger_stopped", reason=type(trouble).__name__, answered=0, asked=len(history))
            self.close()
            return {}

    def _ask(
        self,
        work: Callable[[Series, int, int], Answer],
        series: Series,
        first_hour: int,
        horizon: int,
        ends_s: float,
    ) -> Answer:
        """One piece of work, in the child process, until `ends_s` on the monotonic clock. Raises TimeoutError."""
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=quiet)
            self._process_id = self._executor.submit(os.getpid).result(timeout=START_LIMIT_S)
        left_s = ends_s - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError
        return self._executor.submit(work, series, first_hour, horizon).result(timeout=left_s)

    def close(self) -> None:
        """End the process, whatever it is doing. Safe to call twice."""
        executor, self._executor = self._executor, None
        process_id, self._process_id = self._process_id, 0
        if executor is None:
            return
        if process_id:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGTERM)
        executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        """Nothing to begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, whatever happened."""
        self.close()
