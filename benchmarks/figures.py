"""What a measurement comes to: figures with the runs they are medians of, and what was aimed at beside them."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct, json

RESULTS = Path(__file__).parent / "results"
Run = dict[str, float]


class Row(Struct, kw_only=True):
    """One thing that was measured: the median of each figure, and the runs it is the median of."""

    name: str
    figures: Run
    runs: list[Run] = []


class Verdict(Struct, kw_only=True):
    """What was aimed at, and what was reached. `got` is None where it could not be measured."""

    aim: str
    wanted: float
    got: float | None
    at_most: bool = False  # else: at least

    @property
    def met(self) -> bool:
        """Whether the aim was reached."""
        return self.got is not None and (self.got <= self.wanted if self.at_most else self.got >= self.wanted)


class Result(Struct, kw_only=True):
    """One suite, as it is kept in `results/`."""

    suite: str
    quick: bool
    rounds: int  # how many runs each figure is the median of
    rows: list[Row]
    verdicts: list[Verdict] = []
    notes: list[str] = []
    cores: int = 0
    python: str = ""


def row_of(name: str, runs: Sequence[Run]) -> Row:
    """The medians of several runs. Raises ValueError without any."""
    if not runs:
        raise ValueError(f"{name}: no run to take a median of")
    names = [figure for figure in runs[0] if all(figure in run for run in runs)]
    return Row(
        name=name, figures={figure: median(run[figure] for run in runs) for figure in names}, runs=[*map(_short, runs)]
    )


def add_ratios(rows: Sequence[Row], base: str, figure: str, into: str = "ratio") -> None:
    """Give each row its figure as a multiple of the base row's. Nothing where there is no such row."""
    whole = figure_of(rows, base, figure)
    if whole:
        for row in rows:
            if figure in row.figures:
                row.figures[into] = row.figures[figure] / whole


def figure_of(rows: Sequence[Row], name: str, figure: str) -> float | None:
    """A figure of the row of that name; None where there is none."""
    return next((row.figures.get(figure) for row in rows if row.name == name), None)


def quotient(above: float | None, below: float | None) -> float | None:
    """The ratio of two figures; None where one is missing."""
    return above / below if above is not None and below else None


def percentiles(values: Sequence[float], shares: Mapping[str, float]) -> Run:
    """The smallest of the values that at least a share (0 to 1) of them does not exceed, by name."""
    ordered = sorted(values)
    return {name: ordered[max(-int(-share * len(ordered) // 1) - 1, 0)] for name, share in shares.items()}


def save(result: Result, folder: Path = RESULTS) -> Path:
    """Write it as `SUITE.json`, with what the machine is, in general words."""
    result.cores, result.python = os.cpu_count() or 0, platform.python_version()
    folder.mkdir(parents=True, exist_ok=True)
    for row in result.rows:
        row.figures = _short(row.figures)
    path = folder / f"{result.suite}.json"
    path.write_bytes(json.format(json.encode(result), indent=1) + b"\n")
    return path


def load(suite: str, folder: Path = RESULTS) -> Result | None:
    """What `save` wrote; None where nothing was measured."""
    path = folder / f"{suite}.json"
    return json.decode(path.read_bytes(), type=Result) if path.is_file() else None


def _short(figures: Run) -> Run:
    return {name: float(f"{value:.5g}") for name, value in figures.items()}
