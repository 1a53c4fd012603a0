"""One score for any series, as it streams by: how unlike its own past the newest value is, 0 to 1.

Five channels, each judged against the series' own earlier readings, are added up: shapes never seen over 48 and over
96 rows, a new highest or lowest value, a change of restlessness, and values unusual for the hour. Nothing but the past
is used, and the state is bounded. A row is judged before it is learnt. Rows are independent series.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import motion, surprise, tail
from detectors.discord import Discord
from detectors.motion import SLOW_RATE, Floats, State

CHANNELS = ("shape_48", "shape_96", "record", "restlessness", "hour")
WEIGHTS = np.array([1.0, 1.0, 1.5, 1.0, 2.0])
BIN_GROWTH = np.array([1.12, 1.12, 1.12, 1.06])  # of the four channels that are judged by their tail
AS_THE_FIRST_VALUE = ("level", "own_level", "before", "highest", "lowest")
LARGEST_VALUE = 1e100  # beyond, sums would leave the range of floating point
ALARM_SCORE = 0.5
PAST_ALARM_SLOPE = 0.125  # what a total of twice the threshold adds, half of it at the threshold itself
CALM_MOST = 0.49


class ScoreError(ValueError):
    """Bytes that are no state of this score."""


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """When a total is an alarm, and for how long none follows."""

    alarm_points: float = 4.68
    rest_rows: float = 30.0
    rest_age_ratio: float = 0.015  # and this share of the series' age on top
    quiet_rows: float = 96.0  # no alarm before: at first, every value is a record
    memory: int = 256  # stretches remembered by each of the two shapes


class StreamingScore:
    """Scores `n_rows` series side by side, a value of each at a time. Pure: the same values give the same scores."""

    def __init__(self, n_rows: int, rules: ScoreRules | None = None) -> None:
        """All series begin empty."""
        self.n_rows = n_rows
        self.rules = rules or ScoreRules()
        self.shapes: Sequence[Discord] = (Discord(12, 4, self.rules.memory), Discord(8, 12, self.rules.memory))
        self.points = np.zeros((n_rows, len(CHANNELS)))  # of the last step, by channel: why it scored as it did
        self._state: State = {
            "age_rows": np.zeros(n_rows),
            "alarm_at_row": np.full(n_rows, -np.inf),
            "history": np.zeros((n_rows, 2 * max(shape.rows for shape in self.shapes))),
            **motion.begin(n_rows),
            **surprise.begin(n_rows),
            **tail.begin(n_rows, len(BIN_GROWTH)),
        }
        for shape in self.shapes:
            self._state |= shape.begin(n_rows)

    def step(self, values: Floats, hour_of_day: NDArray[np.int64]) -> Floats:
        """Scores of the newest values, (n_rows,), 0 to 1; at least 0.5 is an alarm. `points` then says why.

        values: (n_rows,), any unit; NaN where a series has none: its score is 0 and it does not advance.
        hour_of_day: (n_rows,), 0 to 23, UTC.
        """
        heard = np.isfinite(values)
        if heard.all():
            scores, self.points = self._advance(self._state, values, hour_of_day)
            return scores
        scores, self.points = np.zeros(self.n_rows), np.zeros((self.n_rows, len(CHANNELS)))
        rows = np.flatnonzero(heard)
        part = {name: column[rows] for name, column in self._state.items()}
        scores[rows], self.points[rows] = self._advance(part, values[rows], hour_of_day[rows])
        for name, column in part.items():
            self._state[name][rows] = column
        return scores

    def _advance(self, state: State, values: Floats, hour_of_day: NDArray[np.int64]) -> tuple[Floats, Floats]:
        values = np.clip(values, -LARGEST_VALUE, LARGEST_VALUE)
        state["age_rows"] += 1.0
        age_rows = state["age_rows"]
        first = age_rows == 1.0
        if first.any():
            for name in AS_THE_FIRST_VALUE:
                state[name][first] = values[first]
        state["history"][:, :-1] = state["history"][:, 1:]
        state["history"][:, -1] = values
        motion.follow(state, "level", "spread", values, motion.rate(age_rows, SLOW_RATE))
        readings = (
            *(shape.distance(state, age_rows) for shape in self.shapes),
            motion.restlessness(state, values, age_rows),
            surprise.surprise(state, values, hour_of_day, age_rows),
        )
        rare = tail.rarity(state, np.stack(readings, axis=1), BIN_GROWTH, age_rows)
        record = motion.record(state, values)
        points = WEIGHTS * np.stack((rare[:, 0], rare[:, 1], record, rare[:, 2], rare[:, 3]), axis=1)
        return self._scores(state, points.sum(axis=1)), points

    def _scores(self, state: State, total: Floats) -> Floats:
        """The score of a total: above ALARM_SCORE where it is an alarm, and none followed another too soon."""
        rules, age_rows = self.rules, state["age_rows"]
        rested = age_rows - state["alarm_at_row"] > rules.rest_rows + rules.rest_age_ratio * age_rows
        alarm = (total >= rules.alarm_points) & rested & (age_rows > rules.quiet_rows)
        state["alarm_at_row"] = np.where(alarm, age_rows, state["alarm_at_row"])
        ratio = total / rules.alarm_points
        loud = np.minimum(1.0, ALARM_SCORE + PAST_ALARM_SLOPE * ratio)
        return np.where(alarm, loud, CALM_MOST * np.clip(ratio / 2.0, 0.0, 1.0))

    def to_bytes(self) -> bytes:
        """All that is known of the series; the same values give the same bytes."""
        return msgspec.msgpack.encode({name: column.tobytes() for name, column in sorted(self._state.items())})

    def load(self, data: bytes) -> None:
        """Take the state of `to_bytes` of a score with as many rows and the same rules. Raises ScoreError."""
        try:
            held = msgspec.msgpack.decode(data, type=dict[str, bytes])
            loaded = {
                name: np.frombuffer(held[name], dtype=column.dtype).reshape(column.shape).copy()
                for name, column in self._state.items()
            }
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            raise ScoreError(f"these bytes are no score of {self.n_rows} rows with these rules") from error
        self._state = loaded
