"""How often mode auto would have been wrong: the figures that let a team dare to switch it on. Pure."""

from collections.abc import Iterable
from math import sqrt

from msgspec import Struct

from alerts.figures import usd
from alerts.would_stop import Outcome, WouldStop

Z_95 = 1.959964  # the 95 percent interval of a share, by Wilson


REGRETTED = {
    Outcome.WATCHED: "its half hour is not over yet",
    Outcome.QUIET: "no work came within 30 minutes: nothing to regret",
    Outcome.BUSY_AGAIN: "work came back within 30 minutes: the stop would have been regretted",
    Outcome.GONE: "it gave its accelerators up by itself",
    Outcome.UNSEEN: "its telemetry has a hole: nobody can say",
}


class Regret(Struct, frozen=True, kw_only=True):
    """Stops that were only thought of, by what became of them. What a limit would have held back is counted apart."""

    stops: int = 0
    quiet: int = 0
    busy_again: int = 0  # work came back within 30 minutes
    gone: int = 0
    unseen: int = 0
    watched: int = 0
    regret_ratio: float | None = None  # of those that are judged; None: none is
    regret_at_most_ratio: float | None = None  # the upper end of its 95 percent interval
    would_have_saved_usd: float = 0.0  # of those that would not have been regretted, as far as they were seen quiet
    held_back: int = 0  # only a limit stood against them
    held_back_busy_again: int = 0
    held_back_usd: float = 0.0


def sum_up(stops: Iterable[WouldStop]) -> Regret:
    """Count them."""
    all_of_them = list(stops)
    free = [stop for stop in all_of_them if not stop.held_back]
    held = [stop for stop in all_of_them if stop.held_back]
    counts = {outcome: sum(stop.outcome is outcome for stop in free) for outcome in Outcome}
    busy_again = counts[Outcome.BUSY_AGAIN]
    judged = counts[Outcome.QUIET] + busy_again + counts[Outcome.GONE]
    return Regret(
        stops=len(free),
        quiet=counts[Outcome.QUIET],
        busy_again=busy_again,
        gone=counts[Outcome.GONE],
        unseen=counts[Outcome.UNSEEN],
        watched=counts[Outcome.WATCHED],
        regret_ratio=busy_again / judged if judged else None,
        regret_at_most_ratio=at_most(busy_again, judged) if judged else None,
        would_have_saved_usd=sum(stop.would_have_saved_usd for stop in free),
        held_back=len(held),
        held_back_busy_again=sum(stop.outcome is Outcome.BUSY_AGAIN for stop in held),
        held_back_usd=sum(stop.would_have_saved_usd for stop in held),
    )


def at_most(wrong: int, judged: int) -> float:
    """Upper end of the 95 percent interval of the share of wrong ones (Wilson 1927). `judged` is at least 1."""
    share, z2 = wrong / judged, Z_95**2
    middle = share + z2 / (2 * judged)
    reach = Z_95 * sqrt(share * (1 - share) / judged + z2 / (4 * judged**2))
    return min((middle + reach) / (1 + z2 / judged), 1.0)


def in_words(regret: Regret) -> list[str]:
    """The figures in plain sentences; none where there is nothing to say."""
    said = []
    if regret.stops:
        waits = f", {regret.watched} still watched" if regret.watched else ""
        unseen = f", {regret.unseen} not seen" if regret.unseen else ""
        said.append(
            f"In mode auto: {_stops(regret.stops)}, {usd(regret.would_have_saved_usd)} saved; "
            f"after {regret.busy_again} of them work came within 30 minutes{waits}{unseen}."
        )
    if regret.regret_ratio is not None and regret.regret_at_most_ratio is not None:
        said.append(
            f"Regret: {100 * regret.regret_ratio:.0f} %, with 95 % certainty no more than "
            f"{100 * regret.regret_at_most_ratio:.0f} %."
        )
    if regret.held_back:
        said.append(
            f"Held back by a limit alone: {_stops(regret.held_back)}, {usd(regret.held_back_usd)}; "
            f"after {regret.held_back_busy_again} of them work came within 30 minutes."
        )
    return said


def _stops(number: int) -> str:
    return f"{number} {'stop' if number == 1 else 'stops'}"
