"""The forecaster alone: how fast, how near, and whether its intervals hold what they say. No broker, no store."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import recorded
from benchmarks.figures import Result, Row, Run, Verdict, figure_of
from benchmarks.forecast_tasks import Task, Total, hour_figures, hour_tasks, total_figures, total_tasks
from benchmarks.recorded import Source
from detectors.forecast import forecast_steps, forecast_totals

SERIES, DAYS = 10_000, 56
SEEDS = (11, 12)
MAKE_S = 600.0
HISTORIES_DAYS = ((3, 7), (7, 14), (14, 28), (28, 99))
CLEAN = "spend, clean twin"
NOTES = [
    "Speed is of one process that uses one core; prophet and the model of all workloads are not in it.",
    "`relative error`: the mean absolute error of single hours over that of seasonal naive (the last day, or the last "
    "week, again and again), as the geometric mean over tasks; below 1 is better than naive.",
    "Each series is asked at up to fifteen moments with what was known then, for up to a week ahead. A total is asked "
    "for each day; `mid-month` are the days on which 11 to 17 days of the calendar month are still to come.",
    "The spend is the benchmark's: recorded traffic priced, in the injected twin with incidents from the 15th day on "
    "that no forecast can know of. Its last two weeks repeat the first two.",
    "Seed 11 and the traces were looked at while the forecaster was made, seed 12 was not.",
]


def run(quick: bool) -> Result:
    """Speed, then every trace and both twins of the benchmark, as far as they stand beside the repository."""
    rows = [speed("10,000 rows, next day, week and month", totals_once)]
    rows.append(speed("10,000 rows, each of 168 hours, five quantiles", steps_once))
    sources = list(recorded.sources(recorded.TRACES)) + ([] if quick else twins())
    by_name: dict[str, list[Source]] = {}
    for source in sources:
        by_name.setdefault(source.name, []).append(source)
    tasks: list[Task] = []
    for name, group in by_name.items():
        found = [task for source in group for task in hour_tasks(source)]
        rows.append(Row(name=name, figures=hour_figures(found)))
        tasks += found
        print(f"  {name}: {rows[-1].figures}", flush=True)
    for low, high in HISTORIES_DAYS:
        asked = [task for task in tasks if low <= task.history_days < high]
        if asked:
            rows.append(Row(name=f"all, {low} to {high} days of history", figures=hour_figures(asked)))
    for name, group in by_name.items():
        if name == "server metrics":  # a sum of them means nothing
            continue
        for whole in (False, True):
            totals: list[Total] = [total for source in group for total in total_tasks(source, whole)]
            rows.append(Row(name=f"{'sum' if whole else 'each'} of {name}", figures=total_figures(totals)))
    return Result(
        suite="forecast", quick=quick, rounds=1, rows=rows, verdicts=verdicts(rows, tasks, by_name), notes=NOTES
    )


def verdicts(rows: list[Row], tasks: list[Task], by_name: dict[str, list[Source]]) -> list[Verdict]:
    """What the project aims at, over everything that could be measured."""
    seconds = [row.figures["wall_s"] for row in rows[:2]]
    aims = [
        Verdict(
            aim="10,000 forecasts with intervals, s, the slower of the two",
            wanted=10.0,
            got=max(seconds),
            at_most=True,
        )
    ]
    if not tasks:
        return aims
    all_tasks = hour_figures(tasks)
    for name in by_name:
        got = figure_of(rows, name, "rel_mae")
        aims.append(Verdict(aim=f"relative error to the last day again: {name}", wanted=0.9, got=got, at_most=True))
    for share, low, high in (("80", 0.77, 0.83), ("95", 0.92, 0.97)):
        got = all_tasks[f"cover{share}"]
        aims.append(Verdict(aim=f"{share} % intervals of hours cover at least", wanted=low, got=got))
        aims.append(Verdict(aim=f"{share} % intervals of hours cover at most", wanted=high, got=got, at_most=True))
    whole, each = (
        figure_of(rows, f"{of} of {CLEAN}", figure) for of, figure in (("sum", "month_wape"), ("each", "month_median"))
    )
    aims.append(Verdict(aim="month-end at mid-month, the whole, clean twin", wanted=0.05, got=whole, at_most=True))
    aims.append(Verdict(aim="month-end at mid-month, median workload, clean twin", wanted=0.12, got=each, at_most=True))
    return aims


def totals_once(history: recorded.Matrix) -> None:
    """What the service asks for each day."""
    end = history.shape[1]
    forecast_totals(history, 0, [(end, end + 24), (end, end + 168), (end - 300, end + 420)])


def steps_once(history: recorded.Matrix) -> None:
    """What the command asks for."""
    forecast_steps(history, 0, 168)


def speed(name: str, ask: Callable[[recorded.Matrix], None]) -> Row:
    """Wall-clock and processor seconds for SERIES series of DAYS days, in one process."""
    random, hours = np.random.default_rng(1), np.arange(DAYS * 24)
    history = random.uniform(1.0, 20.0, (SERIES, 1)) * (1.0 + 0.5 * np.sin(hours / 24.0 * 2.0 * np.pi))
    history *= random.lognormal(0.0, 0.2, history.shape)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    ask(history)
    took: Run = {"wall_s": time.perf_counter() - began_s, "cpu_s": time.process_time() - began_cpu_s}
    print(f"  {name}: {took}", flush=True)
    return Row(name=name, figures=took)


def twins() -> list[Source]:
    """The spend of both twins of the benchmark for SEEDS; none where the benchmark is not beside the repository."""
    home, found = recorded.TRACES.parent, []
    if not (home / "bench").is_dir():
        return []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "bench.make", "--data", "data", "--out", folder, "--seed", str(seed)]
            subprocess.run(
                [*words, "--profile", "standard"], cwd=home, check=True, timeout=MAKE_S, stdout=subprocess.DEVNULL
            )
            found += [recorded.spend(Path(folder), twin) for twin in ("clean", "injected")]
    return found
