"""Jinja2, set up so that nothing from outside can become markup, and figures are written as everywhere else."""

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from alerts.scale_down_words import waiting_in_words
from alerts.titles import place, title
from alerts.wording import PLAIN, clean, count, duration, moment, money, per_hour, percent, quantity
from detectors.findings import Cause

LONGEST = 500

CAUSES = {
    Cause.MEMORY_HELD: "a model is loaded, and nothing asks for it",
    Cause.UNALLOCATED: "the accelerators are given to nobody",
    Cause.NO_TRAFFIC: "no requests arrive",
    Cause.BUSY_NO_OUTPUT: "the accelerators are busy, and no tokens come out",
    Cause.SCALE_OUT_NOT_REVERSED: "it was scaled out, and never back in",
    Cause.REQUEST_RATE: "the number of requests changed",
    Cause.TOKENS_PER_REQUEST: "the tokens of each request changed",
    Cause.MODEL_MIX: "other models are used than before",
    Cause.PRICE: "the price changed",
    Cause.GPU_HOURS: "the number of accelerator hours changed",
    Cause.LEVEL_STEP: "the level changed in one step",
    Cause.SLOW_GROWTH: "it grows slowly and steadily",
    Cause.UTILIZATION: "the accelerators are used less than before",
    Cause.UNLIKE_PEERS: "some accelerators do less than the others of the workload",
    Cause.TELEMETRY_LOST: "telemetry has stopped; whether it is idle is not known",
    Cause.POISON: "so many of its messages are unusable that it was stopped; nothing of it is judged",
    Cause.UNKNOWN_MODEL: "no price book knows this model",
    Cause.FORECAST_BREACH: "the forecast lies above the budget",
    Cause.ESTIMATE_OFF: "the bill differs from the estimate",
    Cause.UNKNOWN: "the data do not tell why",
}
_ENDINGS = ("_usd_per_hour", "_usd", "_ratio", "_bytes", "_tokens", "_w", "_s")


def label(name: str) -> str:
    """The name of a figure without its unit: `idle_s` reads `idle`."""
    bare = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end) and len(name) > len(end)), name)
    return clean(PLAIN.get(bare, bare).replace("_", " "), 60)


def usd(value: float | None) -> str:
    """Dollars, or a dash where they are not known."""
    return "–" if value is None else money(value)


def environment() -> Environment:
    """Templates of the console: autoescape on, and control or direction-changing characters taken out of all text."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        usd=usd,
        per_hour=lambda value: f"{money(value)}/h",
        rate=per_hour,
        ratio=percent,
        count=count,
        duration=duration,
        moment=moment,
        clock=_clock,
        title_of=title,
        label=label,
        place=place,
        quantity=quantity,
        cause=lambda cause: CAUSES[cause],
        waiting=waiting_in_words,
        words=lambda name: str(name).replace("_", " "),
    )
    return made


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %b %H:%M} UTC"


def _shown(value: object) -> object:
    return clean(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value
